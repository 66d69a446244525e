"""Data: stored transitions, windows over them, and where datasets come from."""
