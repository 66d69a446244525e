"""Agents that differ in numbers alone, such as lambda or the anchor's rate, as one program.

What a method's config lists as its numbers enters the arithmetic of an update and nothing else. So
agents whose configs differ there alone can be stacked: they share one config, and an update gets
the numbers as arrays.
"""

import copy
import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jaxtyping import Float32, PRNGKeyArray

from driftpolicy.agents.base import Agent, Metrics
from driftpolicy.agents.config import AgentConfig
from driftpolicy.agents.critic import Critic
from driftpolicy.batch import Batch

_Agent = TypeVar("_Agent", bound=Agent)


def structure_of(config: AgentConfig) -> Hashable:
    """Return everything in a config but its numbers; equal for agents that can be stacked."""
    names = sorted(field.name for field in dataclasses.fields(config))
    return tuple((name, getattr(config, name)) for name in names if name not in config.NUMBERS)


def differing_numbers(configs: Sequence[AgentConfig]) -> dict[str, Float32[np.ndarray, " agents"]]:
    """Return by name the numbers in which configs of one structure differ."""
    columns = {name: [getattr(one, name) for one in configs] for name in sorted(configs[0].NUMBERS)}
    return {
        name: np.array(column, np.float32)
        for name, column in columns.items()
        if any(value != column[0] for value in column)
    }


def with_config(agent: _Agent, config: AgentConfig) -> _Agent:
    """Return the agent under another config of the same structure."""

    def change(node: Any) -> Any:
        return dataclasses.replace(node, config=config) if isinstance(node, Critic) else node

    changed = jax.tree.map(change, agent, is_leaf=lambda node: isinstance(node, Critic))
    return dataclasses.replace(changed, config=config)


def update(
    agent: Agent, numbers: Mapping[str, Any] | None, batch: Batch, key: PRNGKeyArray
) -> tuple[Agent, Metrics]:
    """Make one gradient step, in which ``numbers`` stand in for those of the agent's config.

    They are traced, so the config that holds them may not leave the update.
    """
    if not numbers:
        return agent.update(batch, key)
    given = copy.copy(agent.config)
    for name, value in numbers.items():
        object.__setattr__(given, name, value)  # frozen, and checked when the config was made
    updated, metrics = dataclasses.replace(agent, config=given).update(batch, key)
    return dataclasses.replace(updated, config=agent.config), metrics
