"""Drifting Field Policy (arXiv 2605.07727): a one-step policy improved along a drifting field.

``a = f(eps, s)``: one network pushes noise to an action chunk. Behaviour cloning drifts its samples
towards the data's chunk; policy improvement drifts them towards the best of the candidates that a
slowly moving anchor ``pi_old`` proposes, which is a Wasserstein-2 gradient step on
``KL(pi || pi_old exp(Q / alpha) / Z)``. No gradient of ``Q`` reaches the actor.
"""

import dataclasses
import math
from typing import Literal, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from driftpolicy.agents.base import (
    Agent,
    AgentConfig,
    Metrics,
    choice,
    polyak,
    require,
    window_valid,
)
from driftpolicy.agents.critic import Critic
from driftpolicy.batch import Batch
from driftpolicy.drifting import DriftInfo, Form, Kernel, drift_loss
from driftpolicy.networks import CriticEnsemble, Pushforward


@dataclasses.dataclass(frozen=True, kw_only=True)
class DFPConfig(AgentConfig):
    """Hyperparameters of DFP; defaults for OGBench's cubes (arXiv 2605.07727, Table 5)."""

    generated: int = 8
    """Ngen, samples of the policy per state that are drifted (and repel each other)."""
    candidates: int = 16
    """N, samples of the anchor per state among which the positives are chosen."""
    positives: int = 4
    """K, the best candidates kept as positives, at most N."""
    best_of: int = 16
    """N', samples per decision of which the critic's best is executed and backed up."""
    temperatures: tuple[float, ...] = (0.05,)
    """tau, kernel widths of the drifting field in units of the mean distance."""
    improvement_weight: float = 0.5
    """lambda, the weight of the improvement loss beside the cloning loss; 0 leaves it out."""
    anchor_rate: float = 1e-4
    """Rate of the anchor's moving average per online update, in [0, 1]."""
    improvement: Literal["top-k", "soft"] = "top-k"
    """Positives of the improvement: the K best, equally weighted, or all N candidates with
    self-normalised importance weights exp(Q / alpha), which estimates the exact soft target."""
    soft_alpha: float = 1.0
    """alpha, the soft target's temperature, in units of Q (read by "soft" only)."""
    kernel: Kernel = "laplace"
    """Kernel of the drifting field: laplace or gaussian."""
    form: Form = "two-sided"
    """Form of the drifting field: two-sided (as trained in the paper) or mean-shift."""

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: naming the field, its value and its range.
        """
        super().__post_init__()
        for name in ("generated", "candidates", "best_of"):
            require(self, name, getattr(self, name) >= 1, "at least 1")
        within = 1 <= self.positives <= self.candidates
        require(self, "positives", within, f"between 1 and --candidates ({self.candidates})")
        taus = self.temperatures
        within = len(taus) > 0 and all(0 < tau < math.inf for tau in taus)
        require(self, "temperatures", within, "one or more finite numbers above 0")
        within = 0 <= self.improvement_weight < math.inf
        require(self, "improvement_weight", within, "finite and at least 0")
        require(self, "anchor_rate", 0 <= self.anchor_rate <= 1, "in [0, 1]")
        require(self, "soft_alpha", 0 < self.soft_alpha < math.inf, "finite and above 0")
        choice(self, "improvement", ("top-k", "soft"))
        choice(self, "kernel", ("laplace", "gaussian"))
        choice(self, "form", ("two-sided", "mean-shift"))


class DFP(Agent[DFPConfig]):
    """The agent. ``anchor`` is None in the offline phase and ``pi_old`` in the online one."""

    actor: Pushforward
    anchor: Pushforward | None
    critic: Critic
    optimiser_state: optax.OptState

    @classmethod
    def create(
        cls, config: DFPConfig, observation_dim: int, action_dim: int, key: PRNGKeyArray
    ) -> "DFP":
        """A fresh agent in the offline phase."""
        actor_key, critic_key = jax.random.split(key)
        chunk_dim = config.chunk_length * action_dim
        actor = Pushforward(observation_dim, chunk_dim, config.actor_hidden, key=actor_key)
        critic = Critic.create(config, observation_dim, chunk_dim, critic_key)
        state = optax.adam(config.learning_rate).init(cast(optax.Params, (actor, critic.online)))
        return cls(config, actor, None, critic, state)

    def act(
        self, observation: Float[Array, "*batch observation"], key: PRNGKeyArray
    ) -> Float[Array, "*batch chunk action"]:
        """The best of N' fresh samples under the critic."""
        return self._as_actions(self._decide(observation, key))

    def start_online(self) -> "DFP":
        """The anchor becomes a copy of the policy; the improvement loss starts."""
        return dataclasses.replace(self, anchor=self.actor)

    def update(self, batch: Batch, key: PRNGKeyArray) -> tuple["DFP", Metrics]:
        """One Adam step on ``L_Q + L_BC`` (offline), ``+ lambda L_topK`` (online)."""
        next_key, noise_key, candidate_key = jax.random.split(key, 3)
        backup = self.critic.backup(batch, self._decide(batch.next_observation, next_key))
        improvement = self._improvement_positives(batch.observation, candidate_key)

        def loss(
            trained: tuple[Pushforward, CriticEnsemble],
        ) -> tuple[Float[Array, ""], Metrics]:
            actor, online = trained
            critic_loss, critic_metrics = self.critic.loss(online, batch, backup)
            actor_loss, actor_metrics = self.actor_loss(actor, batch, improvement, noise_key)
            total = critic_loss + actor_loss
            return total, {"loss": total} | critic_metrics | actor_metrics

        trained = (self.actor, self.critic.online)
        gradient, metrics = jax.grad(loss, has_aux=True)(trained)
        step, state = optax.adam(self.config.learning_rate).update(gradient, self.optimiser_state)
        actor, online = eqx.apply_updates(trained, step)
        anchor = self.anchor
        if anchor is not None:
            anchor = polyak(anchor, actor, self.config.anchor_rate)
        agent = dataclasses.replace(
            self,
            actor=actor,
            anchor=anchor,
            critic=self.critic.step(online),
            optimiser_state=state,
        )
        return agent, metrics

    def actor_loss(
        self,
        actor: Pushforward,
        batch: Batch,
        improvement: tuple[Float[Array, "batch positives chunk"], Float[Array, "batch positives"]]
        | None,
        key: PRNGKeyArray,
    ) -> tuple[Float[Array, ""], Metrics]:
        """``L_BC + lambda L_topK`` on the same Ngen samples of the policy (``method.md`` 4).

        ``L_BC`` counts only windows that lie in one episode; ``L_topK`` needs no window.
        """
        chunk = batch.actions.reshape(batch.actions.shape[0], 1, -1)
        generated = actor.sample(batch.observation, self.config.generated, key=key)
        inside = window_valid(batch)
        cloning, info = self._drift(generated, chunk, state_weights=inside)
        loss = jnp.sum(cloning) / jnp.maximum(jnp.sum(inside), 1.0)
        metrics = {"bc_loss": loss, **self._drift_metrics("bc", info)}
        nonfinite = info.nonfinite
        if improvement is None:
            nan = jnp.full_like(loss, jnp.nan)
            absent = DriftInfo(nan, jnp.full(len(self.config.temperatures), jnp.nan), nan)
            improving, info = nan, absent
        else:
            positives, weights = improvement
            improving, info = self._drift(generated, positives, positive_weights=weights)
            improving = jnp.mean(improving)
            loss = loss + self.config.improvement_weight * improving
            nonfinite = nonfinite + info.nonfinite
        metrics |= {"improvement_loss": improving, **self._drift_metrics("improvement", info)}
        return loss, metrics | {"nonfinite": nonfinite}

    def _decide(
        self, observation: Float[Array, "*batch observation"], key: PRNGKeyArray
    ) -> Float[Array, "*batch chunk"]:
        chunks = self.actor.sample(observation, self.config.best_of, key=key)
        return self.critic.best(observation, chunks)

    def _improvement_positives(
        self, observation: Float[Array, "batch observation"], key: PRNGKeyArray
    ) -> tuple[Float[Array, "batch positives chunk"], Float[Array, "batch positives"]] | None:
        """Samples of ``pi+ = pi_old exp(Q / alpha) / Z`` with their weights (mean 1), or None."""
        if self.anchor is None or self.config.improvement_weight == 0:
            return None
        chunks = self.anchor.sample(observation, self.config.candidates, key=key)
        if self.config.improvement == "top-k":
            best = self.critic.top_k(observation, chunks, self.config.positives)
            return best, jnp.ones(best.shape[:-1])
        return chunks, soft_weights(self.critic.score(observation, chunks), self.config.soft_alpha)

    def _drift(self, generated, positives, **weights):
        c = self.config
        return drift_loss(
            generated,
            positives,
            temperatures=c.temperatures,
            kernel=c.kernel,
            form=c.form,
            **weights,
        )

    def _drift_metrics(self, name: str, info: DriftInfo) -> Metrics:
        norms = {
            f"{name}_raw_norm_{tau:g}": norm
            for tau, norm in zip(self.config.temperatures, info.raw_norms, strict=True)
        }
        return {f"{name}_scale": info.scale, **norms}


def soft_weights(
    values: Float[Array, "*batch candidates"], alpha: float
) -> Float[Array, "*batch candidates"]:
    """Self-normalised importance weights of the soft target, times their number (mean 1).

    With candidates drawn from ``pi_old``, ``w_i = N exp(Q_i / alpha) / sum_j exp(Q_j / alpha)``
    makes ``mean(w g(a))`` a consistent estimate of ``E_{pi+}[g]``,
    ``pi+ = pi_old exp(Q / alpha) / Z``.
    """
    return values.shape[-1] * jax.nn.softmax(values / alpha, axis=-1)
