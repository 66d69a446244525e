"""Robomimic's tasks in the real simulator."""

import numpy as np
import pytest

robosuite = pytest.importorskip("robosuite", reason="needs robosuite: uv sync --extra robomimic")

from driftpolicy.envs.base import Session
from driftpolicy.envs.episodes import EpisodeRunner
from driftpolicy.tasks.registry import find_task, make_environment
from driftpolicy.tasks.robomimic.environment import (
    HORIZONS,
    default_arguments,
    make_simulator,
    modern_arguments,
    observe,
)
from driftpolicy.tasks.robomimic.scripted_operators import OPERATORS, Operator
from driftpolicy.training.evaluation import evaluation_workers

pytestmark = [pytest.mark.slow, pytest.mark.simulator]

DIMENSIONS = {"lift": 19, "can": 23, "square": 23}


@pytest.fixture(scope="module")
def environments():
    return {name: make_environment(find_task(f"{name}-mh-low_dim")) for name in DIMENSIONS}


def actions(seed, steps=15):
    return np.random.default_rng(seed).uniform(-1, 1, (steps, 7)).astype(np.float32)


def rollout(environment, seed, moves):
    return np.array([environment.reset(seed), *(environment.step(a).observation for a in moves)])


@pytest.mark.parametrize("name", list(DIMENSIONS))
def test_the_same_seed_is_the_same_episode_and_another_is_not(environments, name):
    environment = environments[name]
    assert (environment.observation_dim, environment.action_dim) == (DIMENSIONS[name], 7)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = rollout(environment, 1, actions(0))
    other = rollout(environment, 2, actions(0))
    assert first.dtype == np.float32
    np.testing.assert_array_equal(rollout(environment, 1, actions(0)), first)
    assert np.abs(first[0, 9:] - other[0, 9:]).max() > 0.001  # the object's place
    assert np.abs(first[1, 9:] - first[0, 9:]).max() < 0.1  # seen from the first observation on
    assert np.abs(first[0, :3] - other[0, :3]).max() > 1e-4  # the hand's, too
    # A fresh simulator agrees, and nothing was drawn from or put into NumPy's generator.
    fresh = make_environment(find_task(f"{name}-mh-low_dim"))
    np.testing.assert_array_equal(rollout(fresh, 1, actions(0)), first)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("name", list(DIMENSIONS))
def test_what_is_left_out_of_a_step_changes_no_state(environments, name):
    """Against plain robosuite, its doubled forward passes and all of its sensors on; and what is
    seen and earned against the same simulator with its own control loop."""
    environment = environments[name]
    plain = robosuite.make(
        **default_arguments(find_task(f"{name}-mh-low_dim").environment) | {"lite_physics": False},
        has_renderer=False,
        has_offscreen_renderer=False,
        use_camera_obs=False,
        ignore_done=True,
        hard_reset=False,
        seed=0,
    )
    plain.rng.bit_generator.state = np.random.default_rng(4).bit_generator.state
    plain.reset()
    whole = make_environment(find_task(f"{name}-mh-low_dim"))
    del whole.simulator._pre_action, whole.simulator._update_observables  # the class's are back
    np.testing.assert_array_equal(environment.reset(4), whole.reset(4))
    for action in actions(4, steps=200).astype(np.float64):
        plain.step(action)
        for one, other in zip(environment.step(action), whole.step(action), strict=True):
            np.testing.assert_array_equal(one, other)
        ours, theirs = (each.sim.get_state().flatten() for each in (environment.simulator, plain))
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", list(DIMENSIONS))
def test_a_session_is_restored_exactly(environments, name):
    session = Session(environments[name])
    session.reset(5)
    for action in actions(1):
        session.step(action)
    state = session.state()
    expected = [session.step(action).observation for action in actions(2)]
    again = Session(make_environment(find_task(f"{name}-mh-low_dim")))
    again.load(state)
    found = [again.step(action).observation for action in actions(2)]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", list(DIMENSIONS))
def test_rewards_and_ends(environments, name):
    """Success - 1 at each step, terminated by success; truncated at the horizon otherwise."""
    environment = environments[name]
    simulator = environment.simulator
    limit = HORIZONS[find_task(f"{name}-mh-low_dim").environment]
    assert limit == {"lift": 300, "can": 300, "square": 400}[name]
    environment.reset(3)
    operator = Operator(simulator, OPERATORS["better_operator_1"], np.random.default_rng(0))
    steps = []
    for action in operator.actions():
        steps.append(environment.step(action))
        if steps[-1].terminated or steps[-1].truncated:
            break
    assert [step.reward for step in steps] == [-1.0] * (len(steps) - 1) + [0.0]
    assert (steps[-1].terminated, steps[-1].truncated, steps[-1].success) == (True, False, True)
    if name == "lift":
        environment.reset(3)
        steps = [environment.step(np.zeros(7)) for _ in range(limit)]
        assert [step.truncated for step in steps] == [False] * (limit - 1) + [True]
        assert not any(step.terminated for step in steps)


def test_processes_agree_with_one(environments):
    with evaluation_workers(find_task("lift-mh-low_dim"), 2) as workers:
        for worker, seed in enumerate((7, 8)):
            first = workers.call(worker, EpisodeRunner.reset, seed)
            last = workers.call(worker, EpisodeRunner.execute, actions(seed))
            expected = rollout(environments["lift"], seed, actions(seed))
            np.testing.assert_array_equal(first, expected[0])
            np.testing.assert_array_equal(last, expected[-1])


def test_the_observation_is_the_four_parts_in_order(environments):
    simulator = make_simulator(default_arguments("Lift"))
    values = simulator.reset()
    seen = observe(values)
    np.testing.assert_allclose(seen[:3], values["robot0_eef_pos"], rtol=1e-6)
    np.testing.assert_allclose(seen[3:7], values["robot0_eef_quat"], rtol=1e-6)
    np.testing.assert_allclose(seen[7:9], values["robot0_gripper_qpos"], rtol=1e-6)
    np.testing.assert_allclose(seen[9:12], values["cube_pos"], rtol=1e-6)


def test_other_controllers_keep_their_own_loop():
    arguments = default_arguments("Lift")
    for gains, streamlined in (("variable_kp", False), ("fixed", True)):
        arguments["controller_configs"]["body_parts"]["right"]["impedance_mode"] = gains
        simulator = make_simulator(arguments)
        assert ("_pre_action" in vars(simulator)) is streamlined
        simulator.reset()
        simulator.step(np.zeros(simulator.action_dim))


def test_old_controllers_are_converted():
    old = {"type": "OSC_POSE", "kp": 80, "control_delta": True, "output_max": [0.1] * 6}
    arguments = modern_arguments("Lift", {"robots": ["Panda"], "controller_configs": old})
    arm = arguments["controller_configs"]["body_parts"]["right"]
    assert (arm["kp"], arm["output_max"]) == (80, [0.1] * 6)
    assert arm["gripper"] == {"type": "GRIP"}
    unchanged = modern_arguments("Lift", {})
    assert unchanged == default_arguments("Lift")
