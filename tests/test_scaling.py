"""Actions stay within bounds of any precision."""

import dataclasses

import gymnasium
import numpy as np
import pytest

from driftpolicy.scaling import Scaling

# float32 rounds the first bound down and the second up; the others are its own.
LOW = np.array([-np.pi / 4, 0.1, -0.5])
HIGH = np.array([0.1, np.pi / 4, 2.0])
SCALING = Scaling((0.0,), (1.0,), tuple(LOW.tolist()), tuple(HIGH.tolist()))
EDGES = np.float32([[-1, -1, -1], [1, 1, 1], [-9, 9, 0]])
ROUNDED = dataclasses.replace(
    SCALING,
    action_low=tuple(LOW.astype(np.float32).tolist()),
    action_high=tuple(HIGH.astype(np.float32).tolist()),
)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_no_action_leaves_the_space_in_its_own_precision(dtype):
    space = gymnasium.spaces.Box(LOW.astype(dtype), HIGH.astype(dtype), dtype=dtype)
    ends = (tuple(end.astype(np.float64).tolist()) for end in (space.low, space.high))
    scaling = Scaling((0.0,), (1.0,), *ends)
    for action in scaling.raw_actions(EDGES):
        assert space.contains(action.astype(dtype))


def test_bounds_that_float32_holds_are_reached_and_nothing_else_changes():
    rows = np.random.default_rng(0).uniform(-1, 1, (100, 3)).astype(np.float32)
    np.testing.assert_array_equal(SCALING.actions(rows), ROUNDED.actions(rows))
    np.testing.assert_array_equal(SCALING.raw_actions(rows), ROUNDED.raw_actions(rows))
    low, high = ROUNDED.limits
    np.testing.assert_array_equal(low, np.float32(ROUNDED.action_low))
    np.testing.assert_array_equal(high, np.float32(ROUNDED.action_high))


def test_a_checkpoint_with_rounded_bounds_has_the_same_map():
    assert SCALING.same_map(ROUNDED)
    assert not SCALING.same_map(dataclasses.replace(ROUNDED, action_high=(0.1, 0.8, 2.0)))
    assert not SCALING.same_map(None)
