"""For tests of what goes on where nothing can be drawn."""

from pathlib import Path

BARE = str(Path(__file__).parent / "bare")
"""As ``PYTHONPATH`` of a fresh process: no library of OpenGL can be loaded in it."""
