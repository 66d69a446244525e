"""Small files of data, made once."""

import numpy as np
import pytest

from driftpolicy.tasks.ogbench.collect import Collector


@pytest.fixture(scope="session")
def episodes() -> dict[str, dict[str, np.ndarray]]:
    """For each scene, two short episodes in the published layout."""
    made = {}
    for family in ("cube-double", "scene", "puzzle-3x3"):
        collector = Collector(family, "play", 0)
        parts = [collector.collect(episode, 25) for episode in range(2)]
        made[family] = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    return made
