"""What came of a suite, from its run folders alone: table, curves, page, statistics."""
