"""Where OGBench's data lie on this machine, and how long their episodes are."""

from pathlib import Path

PUBLISHED_FOLDER = Path("~/.ogbench/data")
"""Where OGBench itself keeps what it downloads."""
COLLECTED_FOLDER = Path("data")
EPISODE_STEPS = 1001
"""Observations per collected episode, as in the published data."""


def collected_path(dataset: str, folder: Path = COLLECTED_FOLDER) -> Path:
    """Return where data collected on this machine are kept: not under the published set's name."""
    return folder / f"{dataset}-collected.npz"
