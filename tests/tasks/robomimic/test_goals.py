"""Every environment has its goal and its horizon."""

from driftpolicy.tasks.robomimic.environment import GOALS, HORIZONS


def test_every_environment_of_robomimic_has_its_goal():
    assert GOALS.keys() == HORIZONS.keys()
