"""Goals in words, against scenes with known goals."""

import numpy as np

from driftpolicy.tasks.ogbench.goals import button_words, cube_words
from driftpolicy.tasks.registry import find_task, make_environment


def goal_of(name: str) -> str:
    environment = make_environment(find_task(name))
    environment.reset(0)
    return environment.goal()


def test_cubes():
    starts = np.array([[0.35, 0.1, 0.02], [0.5, 0.0, 0.02], [0.4, 0.2, 0.02]])
    goals = np.array([[0.425, -0.1, 0.02], [0.5, 0.01, 0.02], [0.425, -0.1, 0.06]])
    assert cube_words(starts, goals) == [
        "red cube to (42, -10)",
        "orange cube to (42, -10), level 2",  # the blue one is in place
    ]


def test_buttons():
    assert button_words(np.array([0, 1, 1]), np.array([1, 1, 0])) == ["switch 2 of 3 buttons"]
    assert button_words(np.array([1]), np.array([1])) == []


def test_scenes():
    """As OGBench defines the tasks: the cube goes from (42.5, 10) to (42.5, -10); the drawer and
    the window are closed, and are to be opened; all lights but ... are to be switched."""
    assert goal_of("cube-single-play-singletask-task1-v0") == "red cube to (42, -10)"
    assert goal_of("scene-play-singletask-task1-v0") == "open the drawer, open the window"
    moved = goal_of("scene-play-singletask-task4-v0")
    assert moved == "red cube to (33, -36), level 2, switch 1 of 2 buttons"
    assert goal_of("puzzle-3x3-play-singletask-task1-v0").endswith(" of 9 buttons")
