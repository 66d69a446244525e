"""The one record that data hands to agents."""

from typing import NamedTuple

from jaxtyping import Array, Float


class Batch(NamedTuple):
    """Windows of H consecutive transitions, starting anywhere in the data.

    Filled with NumPy arrays on the host, and with JAX's inside compiled functions.

    Attributes:
        observation: before the window's first action.
        actions: the window's actions in [-1, 1]; past an episode's end they are zero.
        reward: ``sum_k gamma^k r_k`` over the window's steps.
        mask: 0 where the task terminated within the window, else 1.
        next_observation: after the window's last step (of the episode, if that ended before).
        valid: per step, 1 iff no episode ended before it.
    """

    observation: Float[Array, "batch observation"]
    actions: Float[Array, "batch chunk action"]
    reward: Float[Array, " batch"]
    mask: Float[Array, " batch"]
    next_observation: Float[Array, "batch observation"]
    valid: Float[Array, "batch chunk"]
