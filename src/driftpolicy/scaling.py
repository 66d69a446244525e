"""Between a user's units and the agent's: observations near 0, actions in [-1, 1]."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from driftpolicy.errors import UserError


@dataclasses.dataclass(frozen=True)
class Scaling:
    """An affine map per number, stored in the checkpoints of runs on custom data.

    An agent sees ``(observation - mean) / deviation`` and decides ``scaled`` in [-1, 1], which
    means ``low + (scaled + 1) * (high - low) / 2``. All in float32, here as in an exported policy.
    What float32 rounds outwards is clipped, so that no action leaves bounds that are finer.
    """

    observation_mean: tuple[float, ...]
    """0 where observations are not normalised."""
    observation_deviation: tuple[float, ...]
    """Above 0; 1 where observations are not normalised, or do not vary."""
    action_low: tuple[float, ...]
    """The action that the agent knows as -1."""
    action_high: tuple[float, ...]
    """The action that the agent knows as 1; above ``action_low``."""

    @property
    def limits(self) -> tuple[Float32[np.ndarray, " action"], Float32[np.ndarray, " action"]]:
        """Return the least and the greatest actions of float32 that lie within the bounds."""
        low, high = self._bounds()
        infinity = np.float32(np.inf)
        return (
            np.where(low < self.action_low, np.nextafter(low, infinity), low),
            np.where(high > self.action_high, np.nextafter(high, -infinity), high),
        )

    def observations(
        self, raw: Float[np.ndarray, "*rows observation"]
    ) -> Float32[np.ndarray, "*rows observation"]:
        """Convert observations from the user's units to the agent's."""
        mean = np.asarray(self.observation_mean, np.float32)
        deviation = np.asarray(self.observation_deviation, np.float32)
        return (np.asarray(raw, np.float32) - mean) / deviation

    def raw_observations(
        self, seen: Float[np.ndarray, "*rows observation"]
    ) -> Float32[np.ndarray, "*rows observation"]:
        """Convert observations from the agent's units to the user's."""
        mean = np.asarray(self.observation_mean, np.float32)
        deviation = np.asarray(self.observation_deviation, np.float32)
        return mean + deviation * np.asarray(seen, np.float32)

    def actions(
        self, raw: Float[np.ndarray, "*rows action"]
    ) -> Float32[np.ndarray, "*rows action"]:
        """Convert actions from the user's units to the agent's, clipped to [-1, 1]."""
        low, high = self._bounds()
        return np.clip(2 * (np.asarray(raw, np.float32) - low) / (high - low) - 1, -1, 1)

    def raw_actions(
        self, scaled: Float[np.ndarray, "*rows action"]
    ) -> Float32[np.ndarray, "*rows action"]:
        """Convert actions from the agent's units to the user's, never beyond the bounds."""
        low, high = self._bounds()
        raw = low + (np.asarray(scaled, np.float32) + 1) * (high - low) / 2
        return np.clip(raw, *self.limits)

    def _bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(self.action_low, np.float32), np.asarray(self.action_high, np.float32)

    def same_map(self, other: "Scaling | None") -> bool:
        """Tell whether another scaling maps all numbers to the same: it is the same in float32."""
        return other is not None and all(
            np.array_equal(np.float32(mine), np.float32(theirs))
            for mine, theirs in zip(
                dataclasses.astuple(self), dataclasses.astuple(other), strict=True
            )
        )

    def to_json(self) -> dict[str, list[float]]:
        """Return what a checkpoint's meta data hold under ``scaling``; exact."""
        return {name: list(values) for name, values in dataclasses.asdict(self).items()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> "Scaling | None":
        """Read what :meth:`to_json` returned; None stands for no scaling at all.

        Raises:
            UserError: if something is missing or unknown.
        """
        if stored is None:
            return None
        try:
            scaling = cls(**{name: tuple(map(float, values)) for name, values in stored.items()})
            if not all(np.isfinite(values).all() for values in dataclasses.astuple(scaling)):
                raise ValueError("it holds NaN or infinity")
            return scaling
        except (TypeError, ValueError, AttributeError) as error:
            raise UserError(f"a checkpoint's scaling is damaged: {error}") from None
