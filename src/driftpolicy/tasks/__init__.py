"""The tasks there are: one folder for each place that they come from, and their registry."""
