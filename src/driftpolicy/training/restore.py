"""Agents made from configs and from checkpoints."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from driftpolicy.agents import Agent, find_method
from driftpolicy.config import TrainConfig
from driftpolicy.runs import checkpoints


def new_agent(config: TrainConfig, observation_dim: int, action_dim: int, key: Any) -> Agent:
    """A fresh agent of the config's method, improving at once in a run of pure offline RL."""
    method = find_method(config.method).agent
    agent = method.create(config.agent, observation_dim, action_dim, key)
    return agent.start_online() if config.phase == "offline-rl" else agent


def restore_agent(fresh: Agent, meta: Any, arrays: dict[str, np.ndarray], path: Path) -> Agent:
    """The agent of a checkpoint, in the shape of ``fresh`` (arrays or only their shapes)."""
    like = jax.eval_shape(lambda a: a.start_online() if meta["online"] else a, fresh)
    return checkpoints.restore_tree(like, arrays, path)


def load_agent(path: Path) -> tuple[Agent, TrainConfig, dict[str, Any]]:
    """The agent, the config and the meta data of a checkpoint; reads no replay.

    Raises:
        UserError: as :func:`driftpolicy.runs.checkpoints.load`.
    """
    meta, groups = checkpoints.load(path, "agent")
    config = TrainConfig.from_json(meta["config"])
    observation_dim, action_dim = meta["dims"]
    fresh = jax.eval_shape(
        lambda key: new_agent(config, observation_dim, action_dim, key), jax.random.key(0)
    )
    return restore_agent(fresh, meta, groups["agent"], path), config, meta
