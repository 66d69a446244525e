"""The server that downloads are tested with, and quick tests without a simulator."""

import pytest

from driftpolicy.tasks.robomimic import checks, dataset
from tests.data.conftest import contents as contents
from tests.data.conftest import server as server

LIFT_PARTS = {"robot0_eef_pos": 3, "robot0_eef_quat": 4, "robot0_gripper_qpos": 2, "object": 10}


@pytest.fixture
def without_robosuite(monkeypatch):
    """Lift's sizes are known, and no file is held against a controller: that takes seconds."""
    monkeypatch.setattr(checks, "differences", lambda file: [])
    monkeypatch.setattr(dataset, "sizes_of", lambda environment: checks.Sizes(LIFT_PARTS, 7))
