"""Environments of the user's own: how they are made, scaled, ended and judged."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from driftpolicy.envs.base import Environment, Session
from driftpolicy.errors import UserError
from driftpolicy.scaling import Scaling
from driftpolicy.tasks.custom.environment import GymnasiumEnvironment
from driftpolicy.tasks.custom.probe import probe
from driftpolicy.tasks.registry import find_task, make_environment
from driftpolicy.tasks.task import CustomSettings, Task

from . import own

FILE = Path(own.__file__)
SCALING = Scaling((1.0, -1.0), (2.0, 0.5), tuple(own.LOW.tolist()), tuple(own.HIGH.tolist()))


def task(function: str = "make", **settings) -> Task:
    found = find_task(f"gymnasium:{FILE}:{function}")
    return dataclasses.replace(found, custom=CustomSettings(**settings))


def inner(environment: GymnasiumEnvironment) -> own.Point:
    return environment._environment.unwrapped


def test_actions_and_observations_are_in_the_agents_units():
    environment = make_environment(task(scaling=SCALING))
    assert isinstance(environment, Environment)
    assert (environment.observation_dim, environment.action_dim) == (2, 2)
    assert environment.control_rate == 10
    seen = environment.reset(4)
    point = inner(environment)
    place = np.random.default_rng(4).uniform(-1, 1, 2)  # Gymnasium's generator is NumPy's
    np.testing.assert_array_equal(point.place, place)
    np.testing.assert_allclose(seen, (place - [1, -1]) / [2, 0.5], rtol=1e-6)
    for action, meant in (([-1, -1], own.LOW), ([1, 1], own.HIGH), ([0, 0.5], [0, 2.5])):
        step = environment.step(np.array(action, np.float32))
        np.testing.assert_allclose(point.asked[-1], meant)
        assert point.asked[-1].dtype == np.float32
        assert step.observation.dtype == np.float32
        np.testing.assert_allclose(step.observation, (point.place - [1, -1]) / [2, 0.5], rtol=1e-6)
    environment.step(np.array([9.0, -9.0]))
    np.testing.assert_array_equal(point.asked[-1], [own.HIGH[0], own.LOW[1]])


def test_without_scaling_everything_is_as_it_is():
    environment = make_environment(task())
    np.testing.assert_array_equal(environment.reset(4), np.float32(inner(environment).place))
    environment.step(np.array([0.25, 3.0]))
    np.testing.assert_array_equal(inner(environment).asked[-1], [0.25, 3.0])


def home(environment: GymnasiumEnvironment) -> np.ndarray:
    """The raw action that leads to the origin."""
    return -inner(environment).place


def test_one_success_makes_the_episode_a_success_and_time_truncates_it():
    environment = make_environment(task())
    environment.reset(1)
    steps = [environment.step(home(environment))]
    away = np.array([0.5, 4.0])
    steps += [environment.step(away) for _ in range(own.LIMIT - 1)]
    assert [step.truncated for step in steps] == [False] * (own.LIMIT - 1) + [True]
    assert not any(step.terminated for step in steps)
    assert all(step.success for step in steps)
    assert steps[-1].reward < -1
    environment.reset(1)
    assert not environment.step(away).success


def test_reward_by_success_ends_there():
    environment = make_environment(task(reward="success"))
    environment.reset(1)
    assert environment.step(np.array([0.5, 4.0]))[1:] == (-1.0, False, False, False)
    assert environment.step(home(environment))[1:] == (0.0, True, False, True)


def test_success_by_return_is_judged_at_the_end():
    """Returns are negative: the first steps' would be above any threshold."""
    stay = np.zeros(2)
    for seed in range(3):
        environment = make_environment(task("silent"))
        environment.reset(seed)
        rewards = [environment.step(stay).reward for _ in range(own.LIMIT)]
        for shift in (-0.1, 0.1):
            judged = make_environment(task("silent", success_return=sum(rewards) + shift))
            judged.reset(seed)
            steps = [judged.step(stay) for _ in range(own.LIMIT)]
            assert [step.success for step in steps] == [False] * (own.LIMIT - 1) + [shift < 0]


def test_a_limit_can_be_set_where_there_is_none():
    environment = make_environment(task("endless", max_episode_steps=3))
    environment.reset(0)
    assert [environment.step(np.zeros(2)).truncated for _ in range(3)] == [False, False, True]
    registered = find_task("gymnasium:Pendulum-v1")
    short = dataclasses.replace(registered, custom=CustomSettings(max_episode_steps=2))
    environment = make_environment(short)
    environment.reset(0)
    assert [environment.step(np.zeros(1)).truncated for _ in range(2)] == [False, True]


def test_an_episode_without_an_end_says_so(monkeypatch):
    from driftpolicy.tasks.custom import environment as gymnasium

    monkeypatch.setattr(gymnasium, "_ENDLESS", 5)
    environment = make_environment(task("endless"))
    environment.reset(0)
    for _ in range(4):
        environment.step(np.zeros(2))
    with pytest.raises(UserError, match="does not end; limit it: --max-episode-steps"):
        environment.step(np.zeros(2))


def test_registered_environments_and_modules(monkeypatch):
    monkeypatch.chdir(FILE.parents[2])
    for name in ("Reacher-v5", "tests.tasks.custom.own:make", "gymnasium.envs.mujoco:Reacher-v5"):
        environment = make_environment(find_task(f"gymnasium:{name}"))
        first = environment.reset(3)
        environment.step(np.zeros(2))
        np.testing.assert_array_equal(environment.reset(3), first)
    assert environment.control_rate == 50


def test_a_file_may_import_what_lies_beside_it(tmp_path):
    (tmp_path / "beside_it.py").write_text("from tests.tasks.custom.own import Point\n")
    (tmp_path / "robot.py").write_text("from beside_it import Point\nmake = Point\n")
    found = find_task(f"gymnasium:{tmp_path}/robot.py:make")
    assert make_environment(found).render().shape == (40, 56, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Reacher-v99", r"cannot make Reacher-v99: .*v99"),
        ("no_such_module:make", "No module named 'no_such_module'"),
        ("nowhere.py:make", "nowhere.py: no such file"),
        (f"{FILE}:no_such", "own.py has no no_such"),
        (f"{FILE}:broken", r"ValueError: the robot is not plugged in \(own.py, line \d+\)"),
        (f"{FILE}:nothing", "nothing gives NoneType, not a gymnasium.Env"),
        (f"{FILE}:pictures", "observation space is Box.*not a Box of numbers in a row"),
        ("CartPole-v1", r"action space is Discrete\(2\), not a Box .* by continuous numbers only"),
        (FILE, f"the function that makes the environment too, as in {FILE}:make"),
    ],
)
def test_what_cannot_be_made_is_one_line(name, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as error:
        make_environment(find_task(f"gymnasium:{name}"))
    assert "\n" not in str(error.value)


def test_no_images_is_one_line():
    environment = make_environment(task("invisible"))
    with pytest.raises(UserError, match="must take render_mode"):
        environment.render()
    with pytest.raises(UserError, match=r"own.py:undrawn does not draw itself: give it a render"):
        make_environment(task("undrawn")).render()


# What an environment says of itself


def test_facts():
    facts = probe(task())
    assert facts.observation_dim == 2
    np.testing.assert_array_equal(facts.action_low, own.LOW)
    np.testing.assert_array_equal(facts.action_high, own.HIGH)
    assert (facts.control_rate, facts.reports_success, facts.deterministic) == (10, True, True)
    assert not probe(task("silent")).reports_success
    assert probe(task("late")).reports_success
    assert not probe(task("restless")).deterministic


def test_what_cannot_be_run_is_one_line():
    for function, message in (
        ("old", r"cannot run .*own.py:old: ValueError: not enough values to unpack"),
        ("wider", r"an observation has shape \(2,\), its space \(3,\)"),
    ):
        with pytest.raises(UserError, match=message):
            probe(task(function))


def test_what_is_told_late_counts():
    environment = make_environment(task("late"))
    environment.reset(1)
    environment.step(home(environment))
    steps = [environment.step(np.zeros(2)) for _ in range(own.LIMIT - 1)]
    assert [step.success for step in steps] == [False] * (own.LIMIT - 2) + [True]


# Sessions


def test_a_session_is_restored_in_mid_episode_unless_the_environment_is_restless():
    rng = np.random.default_rng(0)
    for function, same in (("make", True), ("restless", False)):
        session = Session(make_environment(task(function, scaling=SCALING)))
        session.reset(3)
        for _ in range(5):
            session.step(rng.uniform(-1, 1, 2))
        state = session.state()
        other = Session(make_environment(task(function, scaling=SCALING)))
        other.reset(9)
        if same:
            other.load(state)
            np.testing.assert_array_equal(other.observation, state["observation"])
        else:
            with pytest.raises(UserError, match="does not reproduce"):
                other.load(state)


def test_a_seed_that_changes_nothing_is_noticed():
    assert probe(task()).seeded
    assert not probe(task("deaf")).seeded


@pytest.mark.parametrize("bad", [np.zeros((2, 1)), np.zeros(1), np.array(["a", "b"])])
def test_an_observation_that_is_no_row_of_numbers_is_refused_before_it_is_scaled(bad, monkeypatch):
    environment = make_environment(task(scaling=SCALING))
    environment.reset(0)
    monkeypatch.setattr(inner(environment), "step", lambda _: (bad, 0.0, False, False, {}))
    with pytest.raises(UserError, match=r"an observation has shape .* after 1 steps of .*own.py"):
        environment.step(np.zeros(2))
