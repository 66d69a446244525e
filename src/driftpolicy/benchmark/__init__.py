"""The benchmark: suites of runs, their driver, and what is made of their folders."""
