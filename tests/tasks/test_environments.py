"""Environments are deterministic, end as they should, and can be stored in mid-episode."""

import functools
from collections import Counter

import numpy as np
import pytest

from driftpolicy.envs.base import Environment, Session, episode_seed
from driftpolicy.errors import UserError
from driftpolicy.tasks.registry import all_tasks, find_task, make_environment

CUBE = "cube-single-play-singletask-task1-v0"
NAMES = (
    CUBE,
    "cube-double-play-singletask-task2-v0",
    "scene-play-singletask-task2-v0",
    "puzzle-3x3-play-singletask-task4-v0",
)

# The quick tests take the first scene.
SCENES = [
    CUBE,
    *(pytest.param(name, marks=[pytest.mark.slow, pytest.mark.simulator]) for name in NAMES[1:]),
]


def fresh(name: str) -> Environment:
    return make_environment(find_task(name))


used = functools.cache(fresh)  # resets do not depend on what came before, as tested here


def actions(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 5)).astype(np.float32)


def trajectory(environment: Environment, seed: int, count: int = 12) -> list:
    outcome = [environment.reset(seed)]
    for action in actions(count):
        step = environment.step(action)
        outcome += [step.observation, np.array([step.reward, step.terminated, step.truncated])]
    return outcome


def same(left: list, right: list) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("name", SCENES)
def test_the_seed_decides_the_trajectory_whatever_came_before(name):
    environment = used(name)
    environment.reset(1)
    for action in actions(40, seed=1):
        environment.step(0.3 * action - [0, 0, 0.7, 0, 0])  # down, onto whatever is there
    np.random.seed(12345)  # noqa: NPY002 (the global generator must not matter)
    after_another = trajectory(environment, 7)
    new = fresh(name)
    assert same(after_another, trajectory(new, 7))
    assert same(after_another, trajectory(environment, 7))
    for made in (environment, new):
        made.reset(9)
    # What the solver starts from shows only later, in contacts.
    hidden = [made._simulator._data.qacc_warmstart.tolist() for made in (environment, new)]
    assert hidden[0] == hidden[1]
    assert not np.array_equal(after_another[0], environment.reset(8))


@pytest.mark.parametrize("name", SCENES)
def test_dimensions_and_types(name):
    environment = used(name)
    observation = environment.reset(0)
    assert isinstance(environment, Environment)
    assert observation.shape == (environment.observation_dim,)
    assert observation.dtype == np.float32
    assert environment.action_dim == 5
    step = environment.step(np.zeros(5))
    assert step.observation.shape == observation.shape
    assert step.reward < 0
    assert step[2:] == (False, False, False)


@pytest.mark.parametrize("name", SCENES)
def test_the_goal_is_told_in_words(name):
    environment = used(name)
    environment.reset(0)
    goal = environment.goal()
    assert goal
    again = fresh(name)
    again.reset(0)
    assert again.goal() == goal


def put_cube_at_goal(environment) -> None:
    simulator = environment._simulator
    qpos = simulator._data.qpos.copy()
    qpos[14:17] = simulator.cur_task_info["goal_xyzs"][0]
    simulator.set_state(qpos, np.zeros_like(simulator._data.qvel))
    simulator.pre_step()
    simulator.post_step()


def test_success_terminates():
    environment = used(CUBE)
    environment.reset(0)
    put_cube_at_goal(environment)
    step = environment.step(np.zeros(5))
    assert (step.reward, step.terminated, step.truncated, step.success) == (0, True, False, True)


def test_the_time_limit_truncates_and_a_reset_renews_it():
    environment = used(CUBE)
    for _ in range(2):
        environment.reset(0)
        ends = [environment.step(np.zeros(5)) for _ in range(200)]
        assert [step.truncated for step in ends] == [False] * 199 + [True]
        assert not any(step.terminated for step in ends)


def test_success_in_the_last_step_terminates_and_does_not_truncate():
    environment = used(CUBE)
    environment.reset(0)
    for _ in range(199):
        environment.step(np.zeros(5))
    put_cube_at_goal(environment)
    step = environment.step(np.zeros(5))
    assert (step.terminated, step.truncated, step.success) == (True, False, True)


# Sessions


@pytest.mark.parametrize("name", [SCENES[1], SCENES[3]])
def test_a_session_is_restored_in_mid_episode(name):
    """To the bit, also with float64 actions, into an environment with another past."""
    session = Session(fresh(name))
    session.reset(3)
    for action in actions(20):
        session.step(action.astype(np.float64) / 3)
    state = {key: array.copy() for key, array in session.state().items()}
    rest = [session.step(action) for action in actions(10, seed=2)]

    environment = used(name)
    trajectory(environment, 11)
    other = Session(environment)
    other.load(state)
    assert np.array_equal(other.observation, state["observation"])
    for expected, action in zip(rest, actions(10, seed=2), strict=True):
        step = other.step(action)
        assert np.array_equal(step.observation, expected.observation)
        assert step[1:] == expected[1:]
    for key, array in session.state().items():
        np.testing.assert_array_equal(other.state()[key], array)


def test_a_session_at_the_start_of_an_episode():
    session = Session(used(CUBE))
    first = session.reset(5)
    state = session.state()
    session.reset(6)
    session.load(state)
    assert np.array_equal(session.observation, first)
    assert session.state()["actions"].shape == (0, 5)


def test_a_session_that_cannot_be_reproduced_says_so():
    session = Session(used(CUBE))
    session.reset(5)
    session.step(np.zeros(5))
    state = session.state()
    state["observation"] = np.nextafter(state["observation"], np.float32(9))
    with pytest.raises(UserError, match="does not reproduce") as error:
        session.load(state)
    assert "\n" not in str(error.value)


# Names


def test_every_task_has_a_registered_simulator():
    import gymnasium
    import ogbench.manipspace  # noqa: F401

    for name, task in all_tasks().items():
        assert task.name == name
        if task.benchmark == "ogbench":
            assert gymnasium.spec(task.environment).max_episode_steps > 0
    counts = Counter(task.benchmark for task in all_tasks().values())
    assert counts == {"ogbench": 9 * 2 * 5 + 5, "robomimic": 3 + 3 + 2}


@pytest.mark.parametrize(
    ("mistaken", "meant"),
    [
        ("cube-double-play-singletask-task2", "cube-double-play-singletask-task2-v0"),
        ("cube-doubel-play-singletask-task4-v0", "cube-double-play-singletask-task4-v0"),
        ("scene task3", "scene-play-singletask-task3-v0"),
        ("puzzle_4x4_noisy_task5", "puzzle-4x4-noisy-singletask-task5-v0"),
        ("cube-quadruple-100m-task2", "cube-quadruple-play-100m-singletask-task2-v0"),
    ],
)
def test_the_nearest_names_are_offered(mistaken, meant):
    with pytest.raises(UserError, match="unknown task") as error:
        find_task(mistaken)
    assert meant in str(error.value)
    assert "\n" not in str(error.value)


def test_nonsense_gets_three_names_too():
    with pytest.raises(UserError) as error:
        find_task("")
    assert str(error.value).count(", ") == 2


def test_episode_seeds_differ_by_every_number():
    paths = [(a, b, c) for a in range(4) for b in range(4) for c in range(4)]
    seeds = {episode_seed(*path) for path in paths}
    assert len(seeds) == len(paths)
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert episode_seed(1, 2) == episode_seed(1, 2)
