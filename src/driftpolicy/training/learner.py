"""The agents of runs that train side by side, kept on the device from block to block."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32, Int32

from driftpolicy.agents import Agent
from driftpolicy.agents.forms import to_accelerator, to_storage
from driftpolicy.agents.numbers import differing_numbers, with_config
from driftpolicy.data.replay import Replay, write_rows, write_rows_of_each
from driftpolicy.data.transitions import Rows
from driftpolicy.data.windows import Fetched
from driftpolicy.training import deciding
from driftpolicy.training.blocks import BlockInput, BlockSpec, block, blocks
from driftpolicy.training.deciding import Decider, Place
from driftpolicy.training.seeding import RunKeys

_Tree = TypeVar("_Tree")


@dataclasses.dataclass(frozen=True)
class Steps:
    """The gradient steps that one run makes next."""

    first: int
    """The number of the first."""
    count: int
    """How many; 0 leaves the agent as it is."""
    marks: Int32[np.ndarray, "steps rings 3"] | None = None
    """What the replay held at each of a whole block's steps; None in the offline phase."""


class Learner:
    """Agents and their gradient steps: of one run, or of several of one shape as one program.

    On a CPU there is one run to a learner, in the form of its agent that checkpoints hold: then it
    comes to the same numbers whatever runs beside it. On an accelerator agents have the form that
    suits it, several are stacked, and nothing is taken apart before a checkpoint asks for it.
    """

    def __init__(self, agents: Sequence[Agent], keys: Sequence[RunKeys], *, accelerate: bool):
        """Take over the agents.

        Args:
            agents: of the runs; their configs may differ in their numbers.
            keys: of the runs.
            accelerate: whether to use the form for accelerators.

        Raises:
            ValueError: if there are several agents and no accelerator to train them on.
        """
        if len(agents) > 1 and not accelerate:
            raise ValueError("several agents train as one program on an accelerator only")
        self._accelerate = accelerate
        self._update_keys = jnp.stack([one.update for one in keys])
        self._decision_keys = jnp.stack([one.act for one in keys])
        self._configs = [agent.config for agent in agents]
        self._numbers = differing_numbers(self._configs) or None
        self._agents: Agent = agents[0]
        if accelerate:
            alike = [with_config(agent, self._configs[0]) for agent in agents]
            self._agents = _stack([to_accelerator(agent) for agent in alike])
        self._mirror: Any = None

    def agent(self, run: int) -> Agent:
        """Return the present agent of a run, in the form that checkpoints hold."""
        if not self._accelerate:
            return self._agents
        agent = to_storage(jax.tree.map(lambda array: array[run], self._agents))
        return with_config(agent, self._configs[run])

    def start_online(self) -> None:
        """Switch every agent to the online phase."""
        if not self._accelerate:
            self._agents = self._agents.start_online()
        else:  # blocks consume what they are given, so no array may stand in two places
            self._agents = jax.tree.map(jnp.copy, self._agents.start_online())

    def update(
        self, steps: Sequence[Steps], prior: Sequence[Rows | Fetched], spec: BlockSpec
    ) -> Float[jax.Array, "runs steps metrics"]:
        """Make each run's gradient steps.

        Args:
            steps: of each run.
            prior: of each run, the prior data or what was fetched of them.
            spec: of the block.

        Returns:
            The metrics of each step, zero beyond a run's count; they may still be under way.
        """
        if not self._accelerate:
            return self._update_alone(steps[0], prior[0], spec)
        rows, shared = _share_or_stack(prior)
        counts = np.array([one.count for one in steps], np.int32)
        alike = bool((counts == counts[0]).all())
        marks = [one.marks for one in steps if one.marks is not None]
        given = BlockInput(
            replay=self._mirror if marks else None,
            marks=np.stack(marks) if marks else None,
            key=self._update_keys,
            first=np.array([one.first for one in steps], np.int32),
            numbers=self._numbers,
        )
        self._agents, metrics = blocks(
            self._agents, rows, given, counts[0] if alike else counts, spec=spec, shared=shared
        )
        return metrics

    def _update_alone(self, steps: Steps, prior: Rows | Fetched, spec: BlockSpec) -> jax.Array:
        given = BlockInput(
            replay=None if steps.marks is None else self._mirror,
            marks=steps.marks,
            key=self._update_keys[0],
            first=np.int32(steps.first),
        )
        self._agents, metrics = block(self._agents, prior, given, np.int32(steps.count), spec=spec)
        return metrics[None]

    def decide(
        self,
        observations: Mapping[Place, Float[np.ndarray, " observation"]],
        steps: Sequence[int],
        environments: int,
    ) -> dict[Place, Float32[np.ndarray, "chunk action"]]:
        """Return the chunk to execute at each observation.

        Args:
            observations: by run and environment.
            steps: of each run, which with its key make the noise.
            environments: how many each run has.
        """
        rule = self._agents.decision_rule
        noise = deciding.online_noise(
            self._decision_keys,
            np.array(steps, np.int32),
            environments=environments,
            shape=rule.noise_shape,
        )
        if self._accelerate:
            return deciding.decide_everywhere(rule, observations, noise)
        decide, drawn = Decider(rule), np.asarray(noise)
        return {place: decide(seen, drawn[place]) for place, seen in observations.items()}

    def mirror(self, replays: Sequence[Replay]) -> None:
        """Copy what the runs have collected to the device."""
        mirrors = [replay.mirror() for replay in replays]
        self._mirror = _stack(mirrors) if self._accelerate else mirrors[0]

    def update_mirror(self, replays: Sequence[Replay]) -> None:
        """Copy the rows that are new since the last call."""
        if not self._accelerate:
            self._mirror = write_rows(self._mirror, replays[0].recent())
            return
        recent = [replay.recent() for replay in replays]
        self._mirror = write_rows_of_each(
            self._mirror, jax.tree.map(lambda *a: np.stack(a), *recent)
        )


def _stack(trees: Sequence[_Tree]) -> _Tree:
    return jax.tree.map(lambda *arrays: jnp.stack(arrays), *trees)


def _share_or_stack(trees: Sequence[_Tree]) -> tuple[_Tree, tuple[bool, ...]]:
    """Return one tree for all, and which of its arrays are the same for all; others are stacked."""
    columns = list(zip(*(jax.tree.leaves(tree) for tree in trees), strict=True))
    shared = tuple(all(array is column[0] for array in column) for column in columns)
    leaves = [c[0] if same else jnp.stack(c) for c, same in zip(columns, shared, strict=True)]
    return jax.tree.unflatten(jax.tree.structure(trees[0]), leaves), shared
