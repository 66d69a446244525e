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


def restore_agent(config: TrainConfig, checkpoint: Checkpoint, path: Path) -> Agent:
    """Return the agent of a checkpoint.

    Args:
        config: of the run that goes on with it.
        checkpoint: read from ``path``.
        path: for messages.

    Raises:
        UserError: naming the first array that does not fit the config.
    """

    def shaped(key: Any) -> Agent:
        agent = new_agent(config, checkpoint.observation_dim, checkpoint.action_dim, key)
        return agent.start_online() if checkpoint.online else agent

    return restore_tree(jax.eval_shape(shaped, jax.random.key(0)), checkpoint.agent, path)


def load_agent(path: Path) -> tuple[Agent, Checkpoint]:
    """Return the agent of a checkpoint and the rest of it, without its replay.

    Raises:
        UserError: as :meth:`driftpolicy.runs.checkpoints.Checkpoint.load`.
    """
    checkpoint = Checkpoint.load(path, policy_only=True)
    return restore_agent(checkpoint.config, checkpoint, path), checkpoint
