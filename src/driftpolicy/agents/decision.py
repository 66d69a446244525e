"""The decision rule: the one function by which a trained agent acts, wherever it acts."""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from driftpolicy.agents.config import AgentConfig
from driftpolicy.agents.scoring import best, score
from driftpolicy.networks import CriticEnsemble


class DecisionRule(eqx.Module):
    """The best of N' chunks under the critic, as a function of an observation and of noise.

    Training (the critic's backup and the online phase), evaluation, export and ``load_policy`` all
    decide by it. It holds what a decision needs of an agent, and no more.
    """

    actor: Any
    """A :class:`driftpolicy.networks.Actor`, which makes chunks of noise."""
    critic: CriticEnsemble
    """The online ensemble, which chooses among them."""
    config: AgentConfig = eqx.field(static=True)

    @property
    def noise_shape(self) -> tuple[int, int]:
        """The shape ``(N', S)`` of the standard normal noise of one decision."""
        return self.config.best_of, self.actor.noise_dim

    def draw_noise(
        self, key: PRNGKeyArray, batch_shape: tuple[int, ...] = ()
    ) -> Float[Array, "*batch candidates flat"]:
        """Draw the noise of a decision, or of a batch of decisions."""
        return jax.random.normal(key, (*batch_shape, *self.noise_shape))

    def __call__(
        self,
        observation: Float[Array, "*batch observation"],
        noise: Float[Array, "*batch candidates flat"],
    ) -> Float[Array, "*batch chunk action"]:
        """Return the chunk to execute, H actions in [-1, 1]."""
        chunks = self.actor.push(observation, noise)
        return self._as_actions(best(self.config, self.critic, observation, chunks))

    def candidates(
        self,
        observation: Float[Array, "*batch observation"],
        noise: Float[Array, "*batch candidates flat"],
    ) -> tuple[Float[Array, "*batch candidates chunk action"], Float[Array, "*batch candidates"]]:
        """Return the chunks among which a decision chooses, and the critic's value of each."""
        chunks = self.actor.push(observation, noise)
        return self._as_actions(chunks), score(self.config, self.critic, observation, chunks)

    def value(
        self,
        observation: Float[Array, "*batch observation"],
        actions: Float[Array, "*batch chunk action"],
    ) -> Float[Array, "*batch"]:
        """Return ``Q(s, a)`` of a chunk, for people who watch."""
        chunk = actions.reshape(*actions.shape[:-2], 1, -1)
        return score(self.config, self.critic, observation, chunk)[..., 0]

    def _as_actions(self, chunk: Float[Array, "... flat"]) -> Float[Array, "... chunk action"]:
        return chunk.reshape(*chunk.shape[:-1], self.config.chunk_length, -1)
