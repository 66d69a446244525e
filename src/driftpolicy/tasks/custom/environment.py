"""The environment of a user, in the agent's units."""

import gymnasium
import numpy as np
from jaxtyping import Float, Float32, UInt8

from driftpolicy.envs.base import Step
from driftpolicy.envs.guard import one_line, require_row
from driftpolicy.errors import UserError
from driftpolicy.tasks.custom.opening import control_rate_of, open_environment
from driftpolicy.tasks.custom.success import reported_success
from driftpolicy.tasks.task import Task

_ENDLESS = 100_000  # steps after which an episode is taken for one without an end


class GymnasiumEnvironment:
    """A Gymnasium environment, in the agent's units.

    An episode succeeds if ``info`` says so at any of its steps, or else if its return at the end
    reaches the threshold that the user stated.
    """

    def __init__(self, task: Task):
        """Make the environment that ``task`` names, with the scaling in its settings."""
        assert task.custom is not None
        self._settings = task.custom
        self._name = task.environment
        self._environment = open_environment(task.environment, task.custom.max_episode_steps)
        self.observation_dim = int(self._environment.observation_space.shape[0])
        self.action_dim = int(self._environment.action_space.shape[0])
        self.control_rate = control_rate_of(self._environment)
        self._return, self._steps, self._success = 0.0, 0, False

    def reset(self, seed: int) -> Float32[np.ndarray, " observation"]:
        """Start the episode of this seed."""
        self._return, self._steps, self._success = 0.0, 0, False
        observation, _ = self._environment.reset(seed=seed)
        return self._observe(observation)

    def goal(self) -> str:
        """Say what counts as a success."""
        stated = self._settings.success_return
        return (
            "success, as the environment tells it" if stated is None else f"a return of {stated:g}"
        )

    def step(self, action: Float[np.ndarray, " action"]) -> Step:
        """Make one control step with the user's action for ``action``.

        Raises:
            UserError: if the episode does not end.
        """
        scaling = self._settings.scaling
        raw = np.asarray(action, np.float32) if scaling is None else scaling.raw_actions(action)
        observation, reward, terminated, truncated, info = self._environment.step(
            raw.astype(self._environment.action_space.dtype)
        )
        self._steps += 1
        self._return += float(reward)
        if self._steps >= _ENDLESS:
            raise UserError(f"{self._name}: an episode does not end; limit it: --max-episode-steps")
        terminated, truncated = bool(terminated), bool(truncated)
        if self._settings.success_return is None:
            self._success |= bool(reported_success(info))
        elif terminated or truncated:
            self._success = self._return >= self._settings.success_return
        if self._settings.reward == "success":
            reward, terminated = float(self._success) - 1.0, terminated or self._success
        seen = self._observe(observation)
        return Step(seen, float(reward), terminated, truncated and not terminated, self._success)

    def _observe(self, raw: np.ndarray) -> np.ndarray:
        # Before it is scaled, which would spread a single number over all of them.
        require_row(raw, self.observation_dim, f"after {self._steps} steps of {self._name}")
        scaling = self._settings.scaling
        return np.array(raw, np.float32) if scaling is None else scaling.observations(raw)

    def render(self) -> UInt8[np.ndarray, "height width 3"]:
        """Draw what the environment draws of itself.

        Raises:
            UserError: if it makes none.
        """
        try:
            image = self._environment.render()
        except NotImplementedError:
            raise UserError(
                f"{self._name} does not draw itself: give it a render() that returns an image, or "
                "do without a film"
            ) from None
        except gymnasium.error.Error as error:
            raise UserError(one_line(error)) from None
        if not isinstance(image, np.ndarray):
            raise UserError(
                f"{self._name} gives no images: its function must take render_mode and pass it on"
            )
        return image
