"""Runs that were never trained: fresh agents in checkpoints, which is all that export reads."""

import dataclasses
from pathlib import Path

import jax
import numpy as np

from driftpolicy.agents import METHODS
from driftpolicy.config import TrainConfig, resolve
from driftpolicy.runs.checkpoints import Checkpoint
from driftpolicy.runs.trees import tree_arrays
from driftpolicy.scaling import Scaling
from driftpolicy.training.restore import new_agent
from tests import statistical

TASK = "cube-single-play-singletask-task1-v0"
OBSERVATION, ACTION = 5, 3
SMALL = {
    "chunk_length": 2,
    "actor_hidden": (16, 16),
    "critic_hidden": (16, 16),
    "best_of": 4,
    "flow_steps": 3,
}
SCALING = Scaling(
    observation_mean=(1.0, -2.0, 0.0, 30.0, 0.5),
    observation_deviation=(2.0, 0.1, 1.0, 8.0, 1.0),
    action_low=(-2.0, 0.0, -0.5),
    action_high=(2.0, 10.0, 0.5),
)


def small_config(method: str, **overrides) -> TrainConfig:
    known = {field.name for field in dataclasses.fields(METHODS[method][1])}
    settings = {name: value for name, value in (SMALL | overrides).items() if name in known}
    return resolve(TASK, method, "paper", settings)


def random_agent(config: TrainConfig):
    """Fresh, with biases, norms and deviations as if trained: none is 0 or 1."""

    def shift(leaf):
        drawn = np.random.default_rng(statistical.seed(leaf.size)).normal(size=leaf.shape)
        return leaf + 0.3 * drawn.astype(np.float32)

    agent = new_agent(config, OBSERVATION, ACTION, statistical.key(0))
    actor, critic = jax.tree.map(shift, (agent.actor, agent.critic))
    return dataclasses.replace(agent, actor=actor, critic=critic)


def write_run(
    folder: Path, method: str = "dfp", *, met=None, scaling=None, step=12, **overrides
) -> Path:
    """A run's folder with one checkpoint; ``met`` are observations of its replay."""
    config = small_config(method, **overrides)
    met = np.zeros((0, OBSERVATION), np.float32) if met is None else met
    Checkpoint(
        config=config,
        data_id="0badf00d",
        step=step,
        online=False,
        observation_dim=OBSERVATION,
        action_dim=ACTION,
        scaling=scaling,
        agent=tree_arrays(random_agent(config)),
        replay={"observations": met},
    ).save(folder / "checkpoints")
    return folder
