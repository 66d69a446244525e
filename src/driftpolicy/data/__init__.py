"""Rows in memory, on disk and in rings, and the windows over them that agents train on."""
