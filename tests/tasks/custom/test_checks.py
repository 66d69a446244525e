"""Each usual mistake is found, in one line, and only where it is made."""

import dataclasses

import numpy as np
import pytest

from driftpolicy.data.checks import short_episodes
from driftpolicy.data.findings import Finding, accept
from driftpolicy.errors import UserError
from driftpolicy.tasks.custom.checks import check_recording
from driftpolicy.tasks.custom.probe import Facts
from driftpolicy.tasks.custom.recording import Recording, Trajectory, trajectory
from driftpolicy.tasks.task import CustomSettings

LOW, HIGH = np.array([-1.0, 0.0]), np.array([1.0, 10.0])
FACTS = Facts(3, LOW, HIGH, 20.0, True, True)


def episode(number: int, steps: int, **parts) -> Trajectory:
    rng = np.random.default_rng(number)
    arrays = {
        "observations": rng.normal(size=(steps + 1, 3)),
        "actions": rng.uniform(LOW, HIGH, (steps, 2)),
        "rewards": rng.normal(size=steps),
    }
    return trajectory("here", f"episode_{number}", arrays | parts)


def recording(*trajectories: Trajectory, rate: float | None = 20.0) -> Recording:
    return Recording("test", list(trajectories), rate)


GOOD = [episode(i, steps) for i, steps in enumerate((6, 9, 7, 9))]


def found(data: Recording, facts: Facts | None = FACTS, **own) -> list[Finding]:
    result = check_recording(data, CustomSettings(**own), facts)
    assert all("\n" not in finding.text for finding in result)
    return result


def only(data: Recording, facts: Facts | None = FACTS, *, refused: bool = False, **own) -> str:
    """The text of the only finding."""
    (finding,) = found(data, facts, **own)
    assert finding.refused == refused
    return finding.text


def test_good_data_pass():
    assert found(recording(*GOOD)) == []
    assert found(recording(*GOOD), None) == []
    assert accept([]) == ()


@pytest.mark.parametrize("value", [-0.0, 1.0])
def test_constant_rewards(value):
    flat = [dataclasses.replace(t, rewards=np.full_like(t.rewards, value)) for t in GOOD]
    assert f"all rewards are {value + 0:g}" in only(recording(*flat))
    ended = [dataclasses.replace(t, terminated=True) for t in flat]
    # A reward per step tells good from bad once episodes end; nothing does not.
    assert len(found(recording(*ended))) == (1 if value == 0 else 0)
    ended[1] = dataclasses.replace(ended[1], rewards=ended[1].rewards + np.eye(9)[2].astype("f"))
    assert found(recording(*ended)) == []
    assert not any("rewards are" in f.text for f in found(recording(*flat), reward="success"))


def test_terminations_that_mean_a_time_limit():
    ended = [episode(i, 8, terminations=np.arange(8) == 7) for i in range(4)]
    text = only(recording(*ended))
    assert "all 4 terminations come in step 8, none as a success" in text
    # Nothing is said where one terminates earlier, where a longer one does not, or at success.
    assert found(recording(*ended, episode(9, 5, terminations=np.arange(5) == 4))) == []
    assert found(recording(*ended, episode(9, 9))) == []
    told = [dataclasses.replace(t, success=np.arange(8) == 7) for t in ended]
    assert found(recording(*told)) == []
    told = [dataclasses.replace(t, success=np.zeros(8, bool)) for t in ended]
    assert "time limit" in only(recording(*told))


def test_actions_outside_the_bounds():
    def scaled(factor: float, steps: int) -> Recording:
        actions = GOOD[0].actions.copy()
        actions[:steps, 1] = 10 * factor
        changed = dataclasses.replace(GOOD[0], actions=actions)
        return recording(changed, *(episode(i, 50) for i in range(20, 26)))

    text = only(scaled(5, 4), refused=True)
    assert "1.3% of the steps have actions outside" in text
    assert "number 1 goes from" in text
    assert "to 50, allowed are 0 to 10" in text
    assert "--action-bounds data" in text
    assert "will ask for such actions too" in only(scaled(5, 4), action_bounds="data")
    assert "they are clipped" in only(scaled(5, 2))
    assert found(scaled(1 + 1e-6, 4)) == []
    assert found(scaled(5, 4), None) == []
    free = FACTS._replace(action_low=np.full(2, -np.inf), action_high=np.full(2, np.inf))
    assert found(scaled(5, 4), free) == []


def test_observations_outside_the_space():
    """As of data in other units; where a side has no bound, nothing is outside on it."""
    facts = FACTS._replace(
        observation_low=np.array([-9.0, -np.inf, -1.0]),
        observation_high=np.array([9.0, np.inf, np.inf]),
    )
    rows = GOOD[0].observations.clip(-1, None)
    inside = [episode(i, 50, observations=np.abs(t)) for i, t in enumerate(rows_of(50))]
    changed = dataclasses.replace(GOOD[0], observations=rows * np.float32([100, 100, 1]))
    assert found(recording(GOOD[0]), FACTS) == found(recording(*inside), facts) == []
    text = only(recording(changed, *inside), facts)
    assert "number 0, counted from 0, in " in text
    assert "there from -9 to 9; are they in other units?" in text
    assert found(recording(changed, *inside)) == []  # without bounds


def rows_of(steps: int) -> list[np.ndarray]:
    return [np.random.default_rng(i).normal(size=(steps + 1, 3)).clip(-3, 3) for i in range(5)]


@pytest.mark.parametrize("value", [1e30, -5e6])
def test_a_value_far_beyond_all_other_episodes(value):
    rows = GOOD[2].observations.copy()
    rows[3, 1] = value
    broken = dataclasses.replace(GOOD[2], observations=rows)
    for data in ([*GOOD[:2], broken, GOOD[3]], [broken, *GOOD[:2]]):
        text = only(recording(*data), None)
        assert f"number 1 of the observations, counted from 0, reaches {abs(value):g}" in text
        assert "in episode_2, and no more than " in text
    both = dataclasses.replace(broken, name="more", actions=broken.actions / 2)
    assert found(recording(*GOOD, broken, both), None) == []  # perhaps it is what is measured


def test_short_episodes():
    lengths = np.array([4, 5, 3, 6])
    (finding,) = short_episodes(lengths, 5)
    assert "shorter than a chunk of 5 steps: 2 of 4 episodes" in finding.text
    assert not finding.refused
    assert short_episodes(lengths, 3) == []
    (finding,) = short_episodes(lengths, 7)
    assert finding.refused
    assert "lower --chunk-length" in finding.text


def test_constant_observations():
    def still(*numbers: int) -> Recording:
        changed = []
        for t in GOOD:
            observations = t.observations.copy()
            observations[:, list(numbers)] = 0.5
            changed.append(dataclasses.replace(t, observations=observations))
        return recording(*changed)

    assert "never change in these of their 3 numbers, counted from 0: 1;" in only(still(1))
    assert "never change in these of their 3 numbers, counted from 0: 0, 2;" in only(still(0, 2))
    changing = still(1).trajectories  # between episodes is enough
    changing[0].observations[:, 1] = 0.25
    assert found(recording(*changing)) == []


def test_a_robot_that_hardly_moves():
    still = [
        dataclasses.replace(
            t, observations=np.float32(number + 1e-3 * t.observations), name=f"episode_{number}"
        )
        for number, t in enumerate(GOOD)
    ]
    assert "within an episode the observations move by" in only(recording(*still))


def test_actions_that_are_observations():
    copies = [dataclasses.replace(t, observations=t.observations.copy()) for t in GOOD]
    for t in copies:
        t.observations[:-1, [1, 0]] = t.actions
    text = only(recording(*copies))
    assert "equal the observations of the same step (numbers 1, 0 of them)" in text
    copies[3].observations[4, 0] += 0.5
    assert found(recording(*copies)) == []


def test_duplicates():
    again = dataclasses.replace(GOOD[1], name="episode_9")
    text = only(recording(*GOOD, again, dataclasses.replace(GOOD[1], name="episode_10")))
    assert "among 6 episodes: 2 (episode_9 of episode_1, episode_10 of episode_1)" in text
    other = dataclasses.replace(again, actions=again.actions * np.float32(0.5))
    assert found(recording(*GOOD, other)) == []
    many = [dataclasses.replace(GOOD[0], name=f"episode_{i}") for i in range(10, 18)]
    assert "and 3 more" in only(recording(*GOOD, *many))


def test_control_rates():
    text = only(recording(*GOOD, rate=50.0))
    assert "recorded at 50 Hz, but the environment runs at 20 Hz" in text
    assert found(recording(*GOOD, rate=None)) == []
    assert found(recording(*GOOD, rate=50.0), FACTS._replace(control_rate=None)) == []


def test_a_restless_environment():
    text = only(recording(*GOOD), FACTS._replace(deterministic=False))
    assert "not deterministic" in text


@pytest.mark.parametrize("part", ["observations", "actions", "rewards"])
def test_not_a_number(part):
    values = getattr(GOOD[2], part).copy()
    values[3] = np.nan
    bad = dataclasses.replace(GOOD[2], **{part: values})
    text = only(recording(GOOD[0], bad, bad), None, refused=True)
    assert text.startswith(f"episode_2: {part} hold NaN or infinity, first in row 3 (--skip-")


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        (FACTS._replace(observation_dim=4), "observations of 3 numbers, the environment of 4"),
        (
            FACTS._replace(action_low=np.zeros(7), action_high=np.ones(7)),
            "actions of 2 numbers, the environment of 7",
        ),
    ],
)
def test_another_environment(facts, text):
    assert f"the data have {text}" in only(recording(*GOOD), facts, refused=True)


def test_without_rewards_successes_are_looked_at():
    bare = [dataclasses.replace(t, rewards=None) for t in GOOD]
    assert "the end of every episode counts as a success" in only(recording(*bare))
    failed = [dataclasses.replace(t, success=np.zeros(len(t.actions), bool)) for t in bare]
    assert "no step of the data is a success" in only(recording(*failed))
    failed[0].success[-1] = True
    assert found(recording(*failed)) == []


def test_success():
    """What is taken for a success is said; so is that nothing is."""
    text = only(recording(*GOOD), reward="success")
    assert "the end of every episode counts as a success" in text
    failed = [dataclasses.replace(t, success=np.zeros(len(t.actions), bool)) for t in GOOD]
    assert "no step of the data is a success" in only(recording(*failed), reward="success")
    failed[0].success[2] = True
    assert found(recording(*failed), reward="success") == []


def test_the_first_refusal_is_the_error():
    with pytest.raises(UserError, match=r"^two$"):
        accept([Finding("one"), Finding("two", True), Finding("three", True)])
    assert accept([Finding("one"), Finding("two")]) == ("one", "two")


@pytest.mark.parametrize("facts", [FACTS, None])
def test_a_robot_that_stands_still(facts):
    still = dataclasses.replace(GOOD[2], actions=np.full_like(GOOD[2].actions, 0.5))
    text = only(recording(*GOOD[:2], still), facts)
    assert "the action never changes in 1 of 3 episodes (episode_2)" in text
    tremble = np.float32([[1e-4, 1e-3]]) * (np.arange(7)[:, None] % 2)  # of ranges 2 and 10
    trembling = dataclasses.replace(still, actions=np.float32(still.actions + tremble))
    assert len(found(recording(*GOOD[:2], trembling), facts)) == (facts is not None)
    single = episode(9, 1)
    assert found(recording(*GOOD, single), facts) == []
