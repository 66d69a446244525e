"""Environments: a task name leads to a simulator, one or many of them in parallel."""
