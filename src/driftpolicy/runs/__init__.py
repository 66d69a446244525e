"""Run folders: what a run writes, where, and how it is read again."""
