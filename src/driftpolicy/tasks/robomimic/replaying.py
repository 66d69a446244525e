"""Recorded states in a simulator: what was seen in them, and what followed."""

import dataclasses

import numpy as np
from jaxtyping import Float32, Float64

from driftpolicy.errors import UserError, in_brief
from driftpolicy.tasks.robomimic.demonstrations import Demo, DemoFile
from driftpolicy.tasks.robomimic.environment import (
    HORIZONS,
    make_simulator,
    modern_arguments,
    observe,
    place,
)


class Replayer:
    """A simulator of a file's environment that is put into recorded states."""

    def __init__(self, file: DemoFile):
        """Make the simulator with robots, controllers and rates of the file.

        They are converted to robosuite 1.5.

        Raises:
            UserError: if robosuite knows no such environment, or cannot make it as the file says.
        """
        arguments = modern_arguments(file.environment, file.arguments)
        try:
            self.simulator = make_simulator(arguments)
            self.simulator.reset()
        except Exception as error:  # robosuite raises nearly anything for arguments of others
            raise UserError(
                f"{file.path}: robosuite cannot make its environment {file.environment} "
                f"({in_brief(error)}); known here are {', '.join(HORIZONS)}"
            ) from None

    def place(self, state: Float64[np.ndarray, " state"]) -> Float32[np.ndarray, " observation"]:
        """Return what is observed in a recorded state.

        Raises:
            UserError: if it has another number of numbers than this robosuite's.
        """
        expected = len(self.simulator.sim.get_state().flatten())
        if len(state) != expected:
            raise UserError(
                f"the file's states have {len(state)} numbers, this robosuite's {expected}: "
                "the scene is another one"
            )
        return place(self.simulator, state)

    def succeeds(self) -> bool:
        """Return whether the present state is a success."""
        return bool(self.simulator._check_success())

    def start(self, state: Float64[np.ndarray, " state"]) -> None:
        """Start a fresh episode from a recorded state, with its controllers where the hand is."""
        self.simulator.reset()
        self.place(state)
        for robot in self.simulator.robots:
            robot._load_controller()  # it remembers the posture in which it was made
            robot.composite_controller.update_state()
            robot.composite_controller.reset()

    def step(self, action: Float64[np.ndarray, " action"]) -> Float32[np.ndarray, " observation"]:
        """Make one control step and return what is observed after it.

        Raises:
            UserError: if the action has another number of numbers than the environment takes.
        """
        if len(action) != self.simulator.action_dim:
            raise UserError(
                f"the file's actions have {len(action)} numbers, its environment takes "
                f"{self.simulator.action_dim}"
            )
        values, _, _, _ = self.simulator.step(action.clip(-1.0, 1.0))
        return observe(values)

    def complete(self, demo: Demo) -> Demo:
        """Return a demonstration with the observations and rewards of its states.

        What follows the last action is simulated.

        Raises:
            UserError: if it has no states, or they do not fit.
        """
        if demo.states is None:
            raise UserError(
                f"{demo.name} lacks states, from which its observations and rewards would come"
            )
        self.start(demo.states[0])
        seen = [(self.place(state), self.succeeds()) for state in demo.states]
        seen.append((self.step(demo.actions[-1]), self.succeeds()))
        observations, successes = zip(*seen, strict=True)
        rewards = np.asarray(successes[1:], np.float64)
        return dataclasses.replace(demo, observations=np.stack(observations), rewards=rewards)

    def add_last(self, demo: Demo) -> Demo:
        """Return a demonstration with T observations together with what followed its last action.

        That is simulated from its last state.

        Raises:
            UserError: if it has no states, or they or what was seen do not fit.
        """
        if demo.states is None or demo.observations is None:
            raise UserError(f"{demo.name} lacks states, or observations")
        self.start(demo.states[-1])
        last = self.step(demo.actions[-1])[None]
        if last.shape[1] != demo.observations.shape[1]:
            raise UserError(f"{demo.name} was seen otherwise than its environment shows itself")
        return dataclasses.replace(demo, observations=np.concatenate([demo.observations, last]))
