"""The one record that data hands to agents."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float

_Any = Array | np.ndarray


class Batch(NamedTuple):
    """Windows of H consecutive transitions, starting anywhere in the data.

    Attributes:
        observation: before the window's first action.
        actions: the window's actions in [-1, 1]; past an episode's end they are zero.
        reward: ``sum_k gamma^k r_k`` over the window's steps.
        mask: 0 where the task terminated within the window, else 1.
        next_observation: after the window's last step (of the episode, if that ended before).
        valid: per step, 1 iff no episode ended before it.
    """

    observation: Float[_Any, "batch observation"]
    actions: Float[_Any, "batch chunk action"]
    reward: Float[_Any, " batch"]
    mask: Float[_Any, " batch"]
    next_observation: Float[_Any, "batch observation"]
    valid: Float[_Any, "batch chunk"]
