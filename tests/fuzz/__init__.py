"""Seeded damage to every file that the program reads: one clear line, or the right numbers."""
