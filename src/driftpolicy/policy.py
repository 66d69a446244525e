"""A trained policy, loaded from nothing but its path."""

from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float

from driftpolicy.agents import DecisionRule
from driftpolicy.config import TrainConfig
from driftpolicy.errors import UserError
from driftpolicy.hub.client import PREFIX
from driftpolicy.hub.policies import pull_policy
from driftpolicy.runs.checkpoints import checkpoint_of
from driftpolicy.scaling import Scaling
from driftpolicy.training.restore import load_agent
from driftpolicy.training.seeding import key_of


class Policy:
    """A trained policy: its decision rule, the units it takes and gives, and its config."""

    def __init__(
        self,
        rule: DecisionRule,
        config: TrainConfig,
        observation_dim: int,
        scaling: Scaling | None = None,
    ):
        """Take the parts; :func:`load_policy` has them from a run.

        Args:
            rule: what decides.
            config: of the run.
            observation_dim: numbers in an observation.
            scaling: between the task's units and the rule's; None if they are the same.
        """
        self.rule = rule
        self.config = config
        self.observation_dim = observation_dim
        self.scaling = scaling
        self._decide = jax.jit(lambda rule, observation, noise: rule(observation, noise))

    def act(
        self, observation: Float[np.ndarray, "*batch observation"], seed: int
    ) -> Float[np.ndarray, "*batch chunk action"]:
        """Return the H actions to execute at an observation, or at each of a batch.

        They are in [-1, 1] for the tasks of a benchmark, and in the units of the data for an
        environment of the user's.

        Args:
            observation: as the task's environment gives it.
            seed: of the decision's noise, from 0 to 2^32 - 1; the same seed gives the same chunk.

        Raises:
            UserError: if the observation has the wrong size or is not finite, or for another seed.
        """
        observation = np.asarray(observation, np.float32)
        if observation.shape[-1:] != (self.observation_dim,):
            raise UserError(
                f"the policy takes observations of {self.observation_dim} numbers, "
                f"not of shape {observation.shape}"
            )
        if not np.isfinite(observation).all():
            raise UserError("the observation holds NaN or infinity")
        if self.scaling is not None:
            observation = self.scaling.observations(observation)
        noise = self.rule.draw_noise(key_of(seed), observation.shape[:-1])
        chunk = np.asarray(self._decide(self.rule, observation, noise))
        return chunk if self.scaling is None else self.scaling.raw_actions(chunk)


def load_policy(path: str | Path) -> Policy:
    """Return the policy of a run folder (its newest checkpoint), a checkpoint file or the Hub.

    Args:
        path: of the folder or the file; ``hf://owner/name`` for a repository of the Hugging Face
            Hub, ``hf://owner/name@COMMIT`` for one state of it.

    Raises:
        UserError: if there is none, or it is corrupted or of a newer version.
    """
    agent, checkpoint = load_agent(find_checkpoint(path))
    dim, scaling = checkpoint.observation_dim, checkpoint.scaling
    return Policy(agent.decision_rule, checkpoint.config, dim, scaling)


def find_checkpoint(path: str | Path) -> Path:
    """Return the checkpoint's file of what :func:`load_policy` takes.

    Raises:
        UserError: if there is none.
    """
    return pull_policy(str(path)) if is_remote(path) else checkpoint_of(Path(path))


def is_remote(path: str | Path) -> bool:
    """Tell whether this names a repository of the Hub, ``hf://owner/name``."""
    return isinstance(path, str) and path.startswith(PREFIX)
