"""robosuite's control loop without the work that is done twice: the same states in less time.

A control step of 50 ms is 25 steps of the simulation, and at each of them robosuite's controller
computes the arm's torques in Python: more time than the physics. Of that, this module keeps the
arithmetic (robosuite's own functions, in its order, on arrays laid out as its are, so that every
bit is the same) and leaves out what does not change within a control step or was computed already.
"""

from typing import Any

import mujoco
import numpy as np

_lib: Any = mujoco  # its stubs lack half of it


def streamline(simulator: Any) -> None:
    """Make the steps of a robosuite environment cheaper, if it is of the kind this is written for.

    That is one arm on a fixed base with a simple gripper, under OSC with fixed gains, without
    interpolation and without doubled forward passes. Others are left as they are, but for sensors:
    those that are off are not asked any more.

    Args:
        simulator: whose sensors are not changed afterwards.
    """
    seen = [o for o in simulator._observables.values() if o.is_enabled()]

    def update_observables(force: bool = False) -> None:
        for observable in seen:
            observable.update(simulator.model_timestep, simulator._obs_cache, force)

    simulator._update_observables = update_observables
    if _is_plain(simulator):
        simulator._pre_action = _Torques(simulator)


def _is_plain(simulator: Any) -> bool:
    from robosuite.controllers.parts.arm.osc import OperationalSpaceController
    from robosuite.controllers.parts.gripper.simple_grip import SimpleGripController
    from robosuite.robots import FixedBaseRobot

    robot = simulator.robots[0]
    parts = dict(robot.part_controllers)
    arm, gripper = parts.pop("right", None), parts.pop("right_gripper", None)
    return (
        simulator.lite_physics
        and len(simulator.robots) == 1
        and type(robot) is FixedBaseRobot
        and not parts
        and type(arm) is OperationalSpaceController
        and (arm.impedance_mode, arm.use_ori, arm.uncoupling) == ("fixed", True, True)
        and (arm.interpolator_pos, arm.interpolator_ori) == (None, None)
        and type(gripper) is SimpleGripController
        and gripper.interpolator is None
    )


class _Torques:
    """Replaces ``_pre_action``: sets the actuators before each step of the simulation."""

    def __init__(self, simulator: Any):
        from robosuite.utils import control_utils

        self._of = control_utils
        self._simulator = simulator
        self._whole = simulator._pre_action
        nv = simulator.sim.model.nv
        self._translation, self._rotation = np.zeros((3, nv)), np.zeros((3, nv))
        self._mass = np.zeros((nv, nv))

    def __call__(self, action: np.ndarray, policy_step: bool = False) -> None:
        """Do all as robosuite does at a control step's first step, then the arm's torques alone."""
        if policy_step:
            self._whole(action, True)
            self._begin()
        else:
            self._data.ctrl[self._actuators] = self._torques()

    def _begin(self) -> None:
        """Note what stays the same until the next control step."""
        robot, sim = self._simulator.robots[0], self._simulator.sim
        arm = self._arm = robot.part_controllers["right"]
        self._model, self._data = sim.model._model, sim.data._data
        self._site = sim.model.site_name2id(arm.ref_name)
        self._places = np.array(arm.qpos_index)
        self._joints = np.array(arm.qvel_index)
        self._actuators = robot._ref_actuators_indexes_dict["right"]
        self._low, self._high = sim.model.actuator_ctrlrange[self._actuators].T
        self._goal, self._turned = arm.goal_pos, arm.goal_ori
        if arm.input_ref_frame == "base":
            self._goal = arm.origin_pos + np.dot(arm.origin_ori, arm.goal_pos)
            self._turned = np.dot(arm.origin_ori, arm.goal_ori)

    def _torques(self) -> np.ndarray:
        """Return OSC's torques at the present state, within the actuators' limits.

        ``J^T [L_x F, L_r T] + bias + N^T tau_0``, with ``F, T`` the proportional-derivative force
        and torque on the hand, ``L`` the operational masses and ``N`` the null space.
        """
        data, arm, joints = self._data, self._arm, self._joints
        _lib.mj_jacSite(self._model, data, self._translation, self._rotation, self._site)
        linear = np.ascontiguousarray(self._translation[:, joints])
        angular = np.ascontiguousarray(self._rotation[:, joints])
        both = np.concatenate([linear, angular])
        _lib.mj_fullM(self._model, self._mass, data.qM)
        mass = self._mass[joints, :][:, joints]

        velocity = data.qvel
        away = self._goal - data.site_xpos[self._site]
        force = away * arm.kp[:3] - np.dot(self._translation, velocity) * arm.kd[:3]
        turn = self._of.orientation_error(self._turned, data.site_xmat[self._site].reshape(3, 3))
        torque = turn * arm.kp[3:] - np.dot(self._rotation, velocity) * arm.kd[3:]
        _, linear_mass, angular_mass, null = self._of.opspace_matrices(mass, both, linear, angular)
        wrench = np.concatenate([np.dot(linear_mass, force), np.dot(angular_mass, torque)])
        torques = np.dot(both.T, wrench) + data.qfrc_bias[joints]
        torques += self._of.nullspace_torques(
            mass, null, arm.initial_joint, data.qpos[self._places], velocity[joints]
        )
        return np.minimum(np.maximum(torques, self._low), self._high)
