"""Suites of runs: which runs belong together, and the machines that make them."""
