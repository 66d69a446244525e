"""What a session refuses, in one line that says where; nothing of it is handed on."""

import sys

import numpy as np
import pytest

from driftpolicy.envs.base import Session, Step
from driftpolicy.envs.episodes import EpisodeRunner, Player
from driftpolicy.errors import UserError

NAN = np.float32([0, np.nan])
ZERO = np.zeros(2, np.float32)


class Scripted:
    """An environment whose third step does what the test says."""

    observation_dim, action_dim, control_rate = 2, 1, None

    def __init__(self, third=lambda: (ZERO, 0.0), first=ZERO):
        self.third, self.first, self.steps = third, first, 0

    def reset(self, seed):
        self.steps = 0
        return self.first

    def step(self, action):
        self.steps += 1
        observation, reward = self.third() if self.steps == 3 else (np.ones(2, np.float32), 1.0)
        return Step(observation, reward, False, False, False)

    def goal(self):
        return ""

    def render(self):
        raise NotImplementedError


def fail():
    raise ValueError("the arm\nis stuck")


BAD = {
    "nan": (lambda: (NAN, 0.0), "observation holds nan in number 1, counted from 0, after step 3"),
    "infinite": (lambda: (np.float32([np.inf, 0]), 0.0), "observation holds inf in number 0"),
    "reward": (lambda: (ZERO, np.nan), "reward is nan after step 3 of the episode with se"),
    "large": (lambda: (ZERO, 1e39), "reward is 1e\\+39 after step 3"),
    "narrow": (lambda: (ZERO[:1], 0.0), r"has shape \(1,\) .* not \(2,\)"),
    "error": (
        fail,
        r"failed in step 3 of the episode with seed 5: ValueError: the arm is stuck \(",
    ),
    "exit": (lambda: sys.exit(3), r"failed in step 3 .*: SystemExit: 3 \(test_sessions.py, line"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_steps_end_in_one_line(kind):
    third, message = BAD[kind]
    session = Session(Scripted(third))
    session.reset(5)
    session.execute(np.zeros((2, 1)))
    runner, player = EpisodeRunner(lambda: Scripted(third)), Player(lambda: Scripted(third))
    runner.reset(5)
    player.begin(5)
    chunk = np.zeros((3, 1), np.float32)
    for attempt in (
        lambda: session.step(np.zeros(1)),
        lambda: runner.execute(chunk),
        lambda: player.play(chunk, 6),
    ):
        with pytest.raises(UserError, match=message) as error:
            attempt()
        assert "\n" not in str(error.value)
    np.testing.assert_array_equal(session.observation, np.ones(2))


def test_bad_resets_too():
    with pytest.raises(UserError, match="after the reset with seed 4"):
        Session(Scripted(first=NAN)).reset(4)


def test_an_interrupt_is_none_of_the_environments():
    def interrupt():
        raise KeyboardInterrupt

    session = Session(Scripted(interrupt))
    session.reset(5)
    with pytest.raises(KeyboardInterrupt):
        session.execute(np.zeros((3, 1)))
