"""Flow Q-learning (Park, Li, Levine 2025), plain and with chunks (QC-FQL; Li, Zhou, Levine 2025).

A behaviour flow imitates the data; a one-step student ``mu(s, eps)`` stays near what the flow makes
of the same noise while it climbs the critic: the only method here with a gradient of ``Q``.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from driftpolicy.agents.actor_critic import ImitatingActorCritic
from driftpolicy.agents.base import Metrics
from driftpolicy.agents.config import require
from driftpolicy.agents.flow import BehaviourFlow, FlowConfig, flow_matching_loss
from driftpolicy.agents.scoring import aggregate
from driftpolicy.batch import Batch
from driftpolicy.networks import Actor, Pushforward, VelocityField, draw_noise


@dataclasses.dataclass(frozen=True, kw_only=True)
class QCFQLConfig(FlowConfig):
    """QC-FQL; the default weight is for OGBench's cubes, offline to online."""

    distillation_weight: float = 100.0
    """alpha, the weight of the student's distance from the flow beside its value."""

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: naming the field, its value and its range.
        """
        super().__post_init__()
        within = 0 <= self.distillation_weight < math.inf
        require(self, "distillation_weight", within, "finite and at least 0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FQLConfig(QCFQLConfig):
    """FQL: one step at a time."""

    chunk_length: int = 1


class FlowAndStudent(Actor):
    """The behaviour flow, which only teaches, and the student, which acts."""

    flow: BehaviourFlow
    student: Pushforward

    @property
    def noise_dim(self) -> int:
        """``S``."""
        return self.student.noise_dim

    def push(
        self,
        observation: Float[Array, "*batch observation"],
        noise: Float[Array, "*batch count chunk"],
    ) -> Float[Array, "*batch count chunk"]:
        """Return the student's chunks, clipped to [-1, 1]."""
        return self.student.push(observation, noise)


class FQL(ImitatingActorCritic[QCFQLConfig]):
    """``fql`` and ``qc-fql``."""

    @classmethod
    def new_actor(
        cls, config: QCFQLConfig, observation_dim: int, chunk_dim: int, key: PRNGKeyArray
    ) -> FlowAndStudent:
        """Both networks, of the same size."""
        flow_key, student_key = jax.random.split(key)
        hidden = config.actor_hidden
        field = VelocityField(observation_dim, chunk_dim, hidden, key=flow_key)
        student = Pushforward(observation_dim, chunk_dim, hidden, key=student_key)
        return FlowAndStudent(BehaviourFlow(field, config.flow_steps), student)

    def actor_loss(
        self, actor: Any, batch: Batch, guidance: None, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], Metrics]:
        """Flow matching, and ``alpha |mu(s, eps) - flow(s, eps)|^2 - Q(s, clip mu(s, eps))``.

        The square is a mean over the chunk's numbers. ``Q`` is the critic before this step, a
        constant here: its gradient reaches the student through the action only.
        """
        flow_key, noise_key = jax.random.split(key)
        cloning = flow_matching_loss(actor.flow.velocity, batch, flow_key)
        noise = draw_noise(batch.observation, 1, actor.student.chunk_dim, key=noise_key)[:, 0]
        teacher = jax.lax.stop_gradient(actor.flow)
        taught = jnp.clip(teacher.integrate(batch.observation, noise), -1.0, 1.0)
        chunk = actor.student(batch.observation, noise)
        distillation = jnp.mean((chunk - taught) ** 2)
        clipped = jnp.clip(chunk, -1.0, 1.0)
        value = jnp.mean(aggregate(self.config, self.critic.online(batch.observation, clipped)))
        loss = cloning + self.config.distillation_weight * distillation - value
        return loss, {
            "flow_loss": cloning,
            "distillation_loss": distillation,
            "student_q": value,
        }
