"""The mean velocity policy (MVP; Zhan et al., ICLR 2026, arXiv 2602.13810), and with top-K.

``z_t = (1 - t) a + t eps`` moves with ``v = eps - a``; the network is the mean velocity
``u(s, z_t, r, t) = 1/(t - r) int_r^t v``, so that one step goes all the way:
``a = eps - u(s, eps, 0, 1)``.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from driftpolicy.agents.actor_critic import (
    AnchoredActorCritic,
    Guidance,
    ImprovementConfig,
    Positives,
)
from driftpolicy.agents.base import Metrics, valid_mean
from driftpolicy.agents.config import require
from driftpolicy.batch import Batch
from driftpolicy.networks import Actor, VelocityField

_LOGIT_MEAN, _LOGIT_DEVIATION = -0.4, 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class MVPTopKConfig(ImprovementConfig):
    """MVP whose anchor's best candidates are further targets online (``mvp-topk``)."""

    best_of: int = 16
    constraint_weight: float = 1.0
    """Weight of the instantaneous velocity constraint (IVC) beside the MeanFlow identity."""

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: naming the field, its value and its range.
        """
        super().__post_init__()
        within = 0 <= self.constraint_weight < math.inf
        require(self, "constraint_weight", within, "finite and at least 0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MVPConfig(MVPTopKConfig):
    """MVP as published: the policy only imitates, lambda = 0."""

    improvement_weight: float = 0.0


class MeanVelocity(Actor):
    """The one-step policy ``a = eps - u(s, eps, 0, 1)``."""

    velocity: VelocityField

    def __call__(
        self,
        observation: Float[Array, "... observation"],
        z: Float[Array, "... chunk"],
        r: Float[Array, "... 1"],
        t: Float[Array, "... 1"],
    ) -> Float[Array, "... chunk"]:
        """``u(s, z, r, t)``, the mean velocity from ``r`` to ``t`` of what is at ``z`` at ``t``."""
        return self.velocity(observation, z, jnp.concatenate([r, t], axis=-1))

    @property
    def noise_dim(self) -> int:
        """``S``."""
        return self.velocity.chunk_dim

    def push(
        self,
        observation: Float[Array, "*batch observation"],
        noise: Float[Array, "*batch count chunk"],
    ) -> Float[Array, "*batch count chunk"]:
        """``eps - u(s, eps, 0, 1)``, clipped to [-1, 1]."""
        zero = jnp.zeros((*noise.shape[:-1], 1), noise.dtype)
        velocity = self(observation[..., None, :], noise, zero, zero + 1.0)
        return jnp.clip(noise - velocity, -1.0, 1.0)


def draw_times(
    shape: tuple[int, ...], *, key: PRNGKeyArray
) -> tuple[Float[Array, "... 1"], Float[Array, "... 1"]]:
    """``r <= t``: two logit-normal draws (mean -0.4, deviation 1), sorted."""
    draws = _LOGIT_MEAN + _LOGIT_DEVIATION * jax.random.normal(key, (2, *shape, 1))
    times = jax.nn.sigmoid(draws)
    return jnp.min(times, axis=0), jnp.max(times, axis=0)


def mean_velocity_and_target(
    field: MeanVelocity,
    observation: Float[Array, "*#batch observation"],
    z: Float[Array, "*batch chunk"],
    r: Float[Array, "*batch 1"],
    t: Float[Array, "*batch 1"],
    v: Float[Array, "*batch chunk"],
) -> tuple[Float[Array, "*batch chunk"], Float[Array, "*batch chunk"]]:
    """``u`` at ``z`` and what the MeanFlow identity says it should be, given the velocity there.

    ``v - (t - r) (v . grad_z u + du/dt)``, behind a stop-gradient; the derivative is one
    forward-mode pass along ``(v, 0, 1)`` in ``(z, r, t)``.
    """

    def u(
        z: Float[Array, "*batch chunk"], r: Float[Array, "*batch 1"], t: Float[Array, "*batch 1"]
    ) -> Float[Array, "*batch chunk"]:
        return field(observation, z, r, t)

    mean, derivative = jax.jvp(u, (z, r, t), (v, jnp.zeros_like(r), jnp.ones_like(t)))
    return mean, jax.lax.stop_gradient(v - (t - r) * derivative)


def mean_velocity_errors(
    field: MeanVelocity,
    observation: Float[Array, "*#batch observation"],
    action: Float[Array, "*batch chunk"],
    key: PRNGKeyArray,
) -> tuple[Float[Array, "*batch chunk"], Float[Array, "*batch chunk"]]:
    """Squared errors of the MeanFlow identity and of IVC, with an own ``(eps, r, t)`` per row.

    IVC asks for ``u(s, z_r, r, r) = v``: the boundary on which the identity builds.
    """
    noise_key, time_key = jax.random.split(key)
    noise = jax.random.normal(noise_key, action.shape, action.dtype)
    r, t = draw_times(action.shape[:-1], key=time_key)
    v = noise - action
    mean, target = mean_velocity_and_target(field, observation, action + t * v, r, t, v)
    instantaneous = field(observation, action + r * v, r, r)
    return (mean - target) ** 2, (instantaneous - v) ** 2


class MVP(AnchoredActorCritic[MVPTopKConfig]):
    """``mvp`` and ``mvp-topk``."""

    @classmethod
    def new_actor(
        cls, config: MVPTopKConfig, observation_dim: int, chunk_dim: int, key: PRNGKeyArray
    ) -> MeanVelocity:
        """Return the mean velocity, a function of two times."""
        field = VelocityField(observation_dim, chunk_dim, config.actor_hidden, times=2, key=key)
        return MeanVelocity(field)

    def actor_loss(
        self, actor: Any, batch: Batch, guidance: Guidance | None, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], Metrics]:
        """MeanFlow and IVC on the data's valid steps and, improving, on the positives."""
        data_key, positive_key = jax.random.split(key)
        action = batch.actions.reshape(batch.actions.shape[0], -1)
        errors = mean_velocity_errors(actor, batch.observation, action, data_key)
        identity, constraint = (valid_mean(error, batch.valid) for error in errors)
        weight = self.config.constraint_weight
        loss = identity + weight * constraint
        improving = jnp.full_like(loss, jnp.nan)
        if guidance is not None:
            observation = batch.observation[:, None, :]
            errors = mean_velocity_errors(actor, observation, guidance.positives, positive_key)
            if guidance.shrinkage is not None:
                errors = tuple(guidance.shrinkage[:, None, None] * error for error in errors)
            improving = jnp.mean(errors[0]) + weight * jnp.mean(errors[1])
            loss = loss + self.improvement_weight * improving
        return loss, {
            "mean_flow_loss": identity,
            "constraint_loss": constraint,
            "improvement_loss": improving,
            **self.shrinkage_metric(guidance),
        }

    def choose(
        self,
        values: Float[Array, "batch candidates"],
        chunks: Float[Array, "batch candidates chunk"],
    ) -> Positives:
        """Return the K candidates of highest ``Q``, with equal weights."""
        return self.best_candidates(values, chunks)
