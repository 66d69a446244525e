"""Agents made from configs and from checkpoints."""

from pathlib import Path
from typing import Any

import jax

from driftpolicy.agents import Agent, find_method
from driftpolicy.config import TrainConfig
from driftpolicy.runs.checkpoints import Checkpoint
from driftpolicy.runs.trees import restore_tree


def new_agent(config: TrainConfig, observation_dim: int, action_dim: int, key: Any) -> Agent:
    """Return a fresh agent of the config's method; in pure offline RL it improves at once."""
    method = find_method(config.method).agent
    agent = method.create(config.agent, observation_dim, action_dim, key)
    return agent.start_online() if config.phase == "offline-rl" else agent


def restore_agent(fresh: Agent, checkpoint: Checkpoint, path: Path) -> Agent:
    """Return the agent of a checkpoint, in the shape of ``fresh`` (arrays or only their shapes).

    Raises:
        UserError: naming the first array that does not fit.
    """
    like = jax.eval_shape(lambda a: a.start_online() if checkpoint.online else a, fresh)
    return restore_tree(like, checkpoint.agent, path)


def load_agent(path: Path) -> tuple[Agent, Checkpoint]:
    """Return the agent of a checkpoint and the rest of it, without its replay.

    Raises:
        UserError: as :meth:`driftpolicy.runs.checkpoints.Checkpoint.load`.
    """
    checkpoint = Checkpoint.load(path, policy_only=True)
    dims = (checkpoint.observation_dim, checkpoint.action_dim)
    fresh = jax.eval_shape(lambda key: new_agent(checkpoint.config, *dims, key), jax.random.key(0))
    return restore_agent(fresh, checkpoint, path), checkpoint
