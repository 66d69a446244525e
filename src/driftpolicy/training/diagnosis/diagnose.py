"""The whole diagnosis of a trained agent (``dfp eval --diagnose``)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from driftpolicy.agents import Agent
from driftpolicy.agents.actor_critic import ActorCritic, AnchoredActorCritic
from driftpolicy.agents.dfp import DFP
from driftpolicy.envs.base import Environment
from driftpolicy.envs.branching import Branching
from driftpolicy.errors import UserError
from driftpolicy.training.diagnosis.experience import Experience, Explorer
from driftpolicy.training.diagnosis.field import forces
from driftpolicy.training.diagnosis.measures import of_branches, of_decisions, of_forces
from driftpolicy.training.diagnosis.statistics import Measurement

_BLOCK = 128  # states whose forces share a scale, as those of a training batch do
_LEAST = 8  # candidates, where the method itself compares fewer


def diagnose(
    agent: Agent,
    environment: Environment,
    seeds: list[int],
    *,
    branches: int = 2,
    key: PRNGKeyArray,
    progress: Callable[[int], Any] = lambda done: None,
    over: dict[int, Experience] | None = None,
) -> list[Measurement]:
    """Measure what the critic knows of the candidates among which it chooses.

    The candidates are samples of the anchor once there is one, otherwise of the policy.

    Args:
        agent: of any method with a critic; the forces are measured for DFP alone.
        environment: of its task.
        seeds: of the episodes to run.
        branches: states of each episode in which two candidates are executed.
        key: of the decisions.
        progress: called with the number of episodes done.
        over: episodes by number that were made before; those made now are added.

    Raises:
        UserError: for a method without a critic that chooses.
    """
    if not isinstance(agent, ActorCritic):
        raise UserError("there is nothing to diagnose: the method chooses by no critic")
    proposer, candidates = agent.actor, agent.config.best_of
    if isinstance(agent, AnchoredActorCritic):
        candidates = agent.config.candidates
        proposer = agent.actor if agent.anchor is None else agent.anchor
    explorer = Explorer(
        environment=Branching(environment),
        rule=agent.decision_rule,
        proposer=proposer,
        candidates=max(candidates, _LEAST),
        key=key,
    )
    decisions, pairs = explorer.explore(seeds, branches, progress, over)
    found = of_decisions(decisions) + of_branches(pairs)
    if isinstance(agent, DFP) and agent.config.candidates > 1:
        # Neighbours in time are alike; a block should see all of the episodes.
        order = np.random.default_rng(0).permutation(len(decisions.observation))
        states = jnp.asarray(decisions.observation[order])
        size = min(_BLOCK, len(states))
        keys = jax.random.split(key, len(states) // size)
        blocks = [
            forces(agent, states[i * size : (i + 1) * size], block_key)
            for i, block_key in enumerate(keys)
        ]
        found += of_forces(blocks)
    return found
