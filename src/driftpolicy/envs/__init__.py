"""Environments: their protocol, their episodes, and processes that run them in parallel."""
