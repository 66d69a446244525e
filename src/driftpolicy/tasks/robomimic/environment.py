"""Robomimic's tasks: robosuite's Lift, PickPlaceCan and NutAssemblySquare, made deterministic."""

import atexit
import contextlib
import copy
import io
import logging
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8

from driftpolicy.envs.base import Step
from driftpolicy.envs.opengl import draw_plainly, drawing, without_opengl
from driftpolicy.errors import UserError, in_brief
from driftpolicy.tasks.robomimic.tasks import CONTROL_RATE
from driftpolicy.tasks.task import Task

OBSERVATION_KEYS = ("robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos", "object")
"""Robomimic's names of the parts of an observation, in the paper's order."""
HORIZONS = {"Lift": 300, "PickPlaceCan": 300, "NutAssemblySquare": 400}
"""Steps after which an episode is truncated, by environment."""
GOALS = {
    "Lift": "lift the cube off the table",
    "PickPlaceCan": "put the can into its bin",
    "NutAssemblySquare": "put the square nut onto the square peg",
}
"""What each environment asks for, in words."""
_CAMERA = "agentview"


def require_robosuite() -> Any:
    """Import the package robosuite, its warnings kept off the terminal.

    Raises:
        UserError: saying what to run where it is not installed.
    """
    try:
        # Its logger writes to what stderr is at import.
        with (
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
            without_opengl(),
            _without_opencv(),
        ):
            warnings.simplefilter("ignore")
            import robosuite
    except ImportError as error:
        raise UserError(
            f"Robomimic's tasks need robosuite: uv sync --extra robomimic ({error})"
        ) from None
    logging.getLogger("robosuite_logs").setLevel(logging.ERROR)
    return robosuite


@contextlib.contextmanager
def _without_opencv() -> Iterator[None]:
    """Hide OpenCV, which robosuite imports for a window that is not opened here.

    OpenCV needs OpenGL, too.
    """
    absent = "cv2" not in sys.modules
    if absent:
        sys.modules["cv2"] = ModuleType("cv2")
    try:
        yield
    finally:
        if absent:
            del sys.modules["cv2"]


def default_arguments(environment: str) -> dict[str, Any]:
    """Return robosuite's arguments where no file says otherwise: a Panda, OSC_POSE at 20 Hz.

    ``lite_physics`` leaves out forward passes that are made twice: less time per step, and the same
    states to the last bit.
    """
    require_robosuite()
    from robosuite.controllers import load_composite_controller_config

    return {
        "env_name": environment,
        "robots": "Panda",
        "controller_configs": load_composite_controller_config(robot="Panda"),
        "control_freq": CONTROL_RATE,
        "reward_shaping": False,
        "lite_physics": True,
    }


def modern_arguments(environment: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a file's arguments as robosuite 1.5 wants them: older controllers are converted.

    Args:
        environment: such as ``Lift``.
        arguments: the file's ``env_kwargs``; what only renders is dropped.

    Raises:
        UserError: if they are none of robosuite's.
    """
    require_robosuite()
    from robosuite.controllers import composite

    kept = ("robots", "controller_configs", "control_freq", "gripper_types", "initialization_noise")
    arguments = {name: copy.deepcopy(arguments[name]) for name in kept if name in arguments}
    whole = default_arguments(environment) | arguments
    convert = composite.composite_controller_factory.refactor_composite_controller_config
    try:
        robots, config = whole["robots"], whole["controller_configs"]
        robot = robots[0] if isinstance(robots, list) else robots
        config = config[0] if isinstance(config, list) else config
        whole["controller_configs"] = convert(config, robot, ["right"])
        arm = arm_of(whole)
        # robosuite 1.5 has another name for it, and ignores the old one.
        if "control_delta" in arm:
            arm.setdefault("input_type", "delta" if arm["control_delta"] else "absolute")
    except Exception as error:  # a file may say anything
        raise UserError(
            f"its robots and controllers are none that robosuite has ({in_brief(error)})"
        ) from None
    return whole


def arm_of(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the arm's controller in robosuite's arguments."""
    return arguments["controller_configs"]["body_parts"]["right"]


def make_simulator(arguments: dict[str, Any]) -> Any:
    """Make a robosuite environment that never renders by itself and is never done by itself."""
    robosuite = require_robosuite()
    from driftpolicy.tasks.robomimic.controller import streamline

    simulator = robosuite.make(
        **arguments,
        has_renderer=False,
        has_offscreen_renderer=False,
        use_camera_obs=False,
        use_object_obs=True,
        ignore_done=True,
        hard_reset=False,
        seed=0,
    )
    for name, sensor in simulator._observables.items():
        if name not in OBSERVATION_KEYS and sensor.modality != "object":
            simulator.modify_observable(name, "enabled", False)
            simulator.modify_observable(name, "active", False)
    streamline(simulator)
    return simulator


def observe(values: dict[str, np.ndarray]) -> Float32[np.ndarray, " observation"]:
    """Return the task's observation from robosuite's dictionary."""
    keys = [key if key != "object" else "object-state" for key in OBSERVATION_KEYS]
    return np.concatenate([values[key] for key in keys]).astype(np.float32)


def look(simulator: Any) -> dict[str, np.ndarray]:
    """Return robosuite's observations of the present state.

    Its relative places come from what it saw the time before, which after a reset is nothing (they
    are zero then) and after a jump another state: hence twice.
    """
    simulator._get_observations(force_update=True)
    return simulator._get_observations(force_update=True)


def place(simulator: Any, state: Float64[np.ndarray, " state"]) -> Float32[np.ndarray, " obs"]:
    """Put a simulator into a recorded state and return what is observed there.

    A state is time, positions and velocities.
    """
    simulator.sim.set_state_from_flattened(state)
    simulator.sim.forward()
    simulator.update_state()
    return observe(look(simulator))


class RobomimicEnvironment:
    """One of Robomimic's tasks: the reward is success - 1, and success ends the episode."""

    def __init__(self, task: Task, render_size: int):
        """Make the simulator of a task, which draws ``render_size`` pixels both ways."""
        self.simulator = make_simulator(default_arguments(task.environment))
        self._limit = HORIZONS[task.environment]
        self._goal = GOALS[task.environment]
        self._size = render_size
        self._renderer: Any = None
        self._steps = 0
        self.action_dim = int(self.simulator.action_dim)
        self.control_rate: float | None = float(CONTROL_RATE)
        self.observation_dim = len(self.reset(0))

    def reset(self, seed: int) -> Float32[np.ndarray, " observation"]:
        """Start the episode of this seed.

        robosuite shares one generator among the environment, its robots and its placements, made
        when it was built; its state is what a seed sets here.
        """
        self._steps = 0
        self.simulator.rng.bit_generator.state = np.random.default_rng(seed).bit_generator.state
        self.simulator.reset()
        return observe(look(self.simulator))

    def step(self, action: Float[np.ndarray, " action"]) -> Step:
        """Make one control step at 20 Hz."""
        values, _, _, _ = self.simulator.step(np.clip(np.asarray(action, np.float64), -1.0, 1.0))
        self._steps += 1
        success = bool(self.simulator._check_success())
        return Step(
            observe(values),
            float(success) - 1.0,
            success,
            self._steps >= self._limit and not success,
            success,
        )

    def goal(self) -> str:
        """Return the goal, which is the same in every episode."""
        return self._goal

    def render(self) -> UInt8[np.ndarray, "height width 3"]:
        """Draw the scene from the camera that Robomimic shows, without what marks sites.

        Raises:
            UserError: if there is no OpenGL.
        """
        import mujoco

        lib: Any = mujoco  # its stubs lack half of it
        model, data = self.simulator.sim.model._model, self.simulator.sim.data._data
        if self._renderer is None:
            model.vis.global_.offwidth = max(model.vis.global_.offwidth, self._size)
            model.vis.global_.offheight = max(model.vis.global_.offheight, self._size)
            draw_plainly(model)
            with drawing():
                self._renderer = mujoco.Renderer(model, self._size, self._size)
            atexit.register(self._renderer.close)  # while its library still stands
        options = lib.MjvOption()
        options.geomgroup[0] = 0  # collision shapes
        options.sitegroup[:] = 0
        self._renderer.update_scene(data, _CAMERA, options)
        return self._renderer.render()
