"""OGBench: its manipulation tasks, simulators and data."""
