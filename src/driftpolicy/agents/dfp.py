"""Drifting Field Policy (arXiv 2605.07727): a one-step policy improved along a drifting field.

``a = f(eps, s)``: one network pushes noise to an action chunk. Behaviour cloning drifts its samples
towards the data's chunk; policy improvement drifts them towards the best of the candidates that a
slowly moving anchor ``pi_old`` proposes, which is a Wasserstein-2 gradient step on
``KL(pi || pi_old exp(Q / alpha) / Z)``. No gradient of ``Q`` reaches the actor.
"""

import dataclasses
import math
from typing import Any, ClassVar, Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from driftpolicy.agents.actor_critic import (
    AnchoredActorCritic,
    Guidance,
    ImprovementConfig,
    Positives,
)
from driftpolicy.agents.base import Metrics, window_valid
from driftpolicy.agents.config import choice, require
from driftpolicy.agents.neighbours import share_positives
from driftpolicy.batch import Batch
from driftpolicy.drifting import DriftInfo, Form, Kernel, drift_loss
from driftpolicy.networks import Pushforward


@dataclasses.dataclass(frozen=True, kw_only=True)
class DFPConfig(ImprovementConfig):
    """Hyperparameters of DFP; defaults for OGBench's cubes (arXiv 2605.07727, Table 5)."""

    ONLINE_ONLY: ClassVar[frozenset[str]] = ImprovementConfig.ONLINE_ONLY | {
        "improvement",
        "soft_alpha",
    }

    best_of: int = 16
    generated: int = 8
    """Ngen, samples of the policy per state that are drifted (and repel each other)."""
    temperatures: tuple[float, ...] = (0.05,)
    """tau, kernel widths of the drifting field in units of the mean distance."""
    shared_positives: int = 1
    """Positives of the cloning per state: the data's chunk, and others drawn from the states of the
    batch that are similar, if any are; 1 takes the chunk alone."""
    improvement: Literal["top-k", "soft"] = "top-k"
    """Positives of the improvement: the K best, equally weighted, or all N candidates with
    self-normalised importance weights exp(Q / alpha), which estimates the exact soft target."""
    soft_alpha: float = 1.0
    """alpha, the soft target's temperature, in units of Q (read by "soft" only)."""
    kernel: Kernel = "laplace"
    """Kernel of the drifting field: laplace or gaussian."""
    form: Form = "two-sided"
    """Form of the drifting field: two-sided (as trained in the paper), mean-shift, or sinkhorn,
    where samples are assigned to positives by optimal transport."""

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: naming the field, its value and its range.
        """
        super().__post_init__()
        for name in ("generated", "shared_positives"):
            require(self, name, getattr(self, name) >= 1, "at least 1")
        taus = self.temperatures
        within = len(taus) > 0 and all(0 < tau < math.inf for tau in taus)
        require(self, "temperatures", within, "one or more finite numbers above 0")
        require(self, "soft_alpha", 0 < self.soft_alpha < math.inf, "finite and above 0")
        choice(self, "improvement", ("top-k", "soft"))
        choice(self, "kernel", get_args(Kernel))
        choice(self, "form", get_args(Form))


@dataclasses.dataclass(frozen=True, kw_only=True)
class DFPCloningConfig(DFPConfig):
    """The ablation without policy improvement: ``L_BC`` only, lambda = 0 (``dfp-bc``)."""

    improvement_weight: float = 0.0


class DFP(AnchoredActorCritic[DFPConfig]):
    """The agent. ``anchor`` is None in the offline phase and ``pi_old`` in the online one."""

    @classmethod
    def new_actor(
        cls, config: DFPConfig, observation_dim: int, chunk_dim: int, key: PRNGKeyArray
    ) -> Pushforward:
        """Return the one-step policy."""
        return Pushforward(observation_dim, chunk_dim, config.actor_hidden, key=key)

    def actor_loss(
        self, actor: Any, batch: Batch, guidance: Guidance | None, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], Metrics]:
        """``L_BC + lambda L_topK`` on the same Ngen samples of the policy.

        ``L_BC`` counts only windows that lie in one episode; ``L_topK`` needs no window.
        """
        inside, chunks = window_valid(batch), batch.actions.reshape(batch.actions.shape[0], -1)
        imitated, count = chunks[:, None], self.config.shared_positives
        if count > 1:
            key, draw_key = jax.random.split(key)
            imitated = share_positives(batch.observation, chunks, inside, count, key=draw_key)
        generated = actor.sample(batch.observation, self.config.generated, key=key)
        cloning, info = self._drift(generated, imitated, state_weights=inside)
        loss = jnp.sum(cloning) / jnp.maximum(jnp.sum(inside), 1.0)
        metrics = {"bc_loss": loss, **self._drift_metrics("bc", info)}
        nonfinite = info.nonfinite
        if guidance is None:
            nan = jnp.full_like(loss, jnp.nan)
            absent = DriftInfo(nan, jnp.full(len(self.config.temperatures), jnp.nan), nan)
            improving, info = nan, absent
        else:
            improving, info = self._drift(
                generated, guidance.positives, positive_weights=guidance.weights
            )
            if guidance.shrinkage is not None:  # of the gradient, so of the normalised force
                improving = guidance.shrinkage * improving
            improving = jnp.mean(improving)
            loss = loss + self.improvement_weight * improving
            nonfinite = nonfinite + info.nonfinite
        metrics |= {"improvement_loss": improving, **self._drift_metrics("improvement", info)}
        metrics |= self.shrinkage_metric(guidance)
        return loss, metrics | {"nonfinite": nonfinite}

    def choose(
        self,
        values: Float[Array, "batch candidates"],
        chunks: Float[Array, "batch candidates chunk"],
    ) -> Positives:
        """Samples of ``pi+ = pi_old exp(Q / alpha) / Z``: the K best, or all with soft weights."""
        if self.config.improvement == "top-k":
            return self.best_candidates(values, chunks)
        return chunks, soft_weights(values, self.config.soft_alpha)

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
