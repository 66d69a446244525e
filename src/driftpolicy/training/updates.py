"""Gradient steps in compiled blocks: sampling, loss and optimiser without the host."""

import dataclasses
from collections.abc import Sequence
from functools import cache, partial
from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from driftpolicy.agents import Agent
from driftpolicy.batch import Batch
from driftpolicy.data.transitions import Fetched, Rows, WindowSpec, draw_windows

Logs = dict[str, Any]
"""Each metric per step, ``[steps]``, zero beyond the block's count."""


@dataclasses.dataclass(frozen=True)
class Request:
    """A run's next gradient steps.

    Attributes:
        agent: before the first of them.
        prior: prior data on the device, or what was fetched of them for these steps.
        replay: the mirror of the replay, or None in the offline phase.
        marks: ``[steps, rings, 3]``, what the replay held at each step, or None.
        key: of the run; step ``t`` uses ``fold_in(key, t)`` and depends on nothing else.
        first: ``t`` of the first step.
        count: how many; a value, not a shape: one compilation serves any number up to ``steps``.
        spec: of the windows.
        batch_size: windows per step.
        steps: the most a block of this kind can hold.
    """

    agent: Agent
    prior: Rows | Fetched
    replay: Rows | None
    marks: Any
    key: PRNGKeyArray
    first: int
    count: int
    spec: WindowSpec
    batch_size: int
    steps: int


def update(requests: Sequence[Request]) -> list[tuple[Agent, Logs]]:
    """Make the gradient steps of several runs that train on the same prior data.

    On a CPU one run after the other, exactly as each would alone. On an accelerator those whose
    blocks have the same shape are one program, vectorised over the runs.

    Returns:
        Of each run its agent and its logs; they may still be under way.
    """
    if jax.default_backend() == "cpu" or len(requests) == 1:
        return [_alone(request) for request in requests]
    groups: dict[Any, list[int]] = {}
    for i, request in enumerate(requests):
        shapes = (type(request.prior), request.replay is None, request.batch_size, request.steps)
        kind = (*shapes, request.spec)
        groups.setdefault(kind, []).append(i)
    results: dict[int, tuple[Agent, Logs]] = {}
    for members in groups.values():
        found = _together([requests[i] for i in members])
        results |= dict(zip(members, found, strict=True))
    return [results[i] for i in range(len(requests))]


def _alone(r: Request) -> tuple[Agent, Logs]:
    values = (r.agent, r.prior, r.replay, r.marks, r.key, jnp.int32(r.first), jnp.int32(r.count))
    return _block(*values, spec=r.spec, batch_size=r.batch_size, steps=r.steps)


def _together(requests: list[Request]) -> list[tuple[Agent, Logs]]:
    shared = requests[0]
    counts = {request.count for request in requests}
    fetched = isinstance(shared.prior, Fetched)
    own = [
        (r.agent, r.prior if fetched else None, r.replay, r.marks, r.key, jnp.int32(r.first))
        for r in requests
    ]
    return _blocks(
        tuple(own),
        None if fetched else shared.prior,
        # One number for all spares choosing between old and new parameters at every step.
        jnp.int32(shared.count) if len(counts) == 1 else jnp.int32([r.count for r in requests]),
        spec=shared.spec,
        batch_size=shared.batch_size,
        steps=shared.steps,
    )


@partial(jax.jit, static_argnames=("spec", "batch_size", "steps"))
def _blocks(
    own: tuple,
    shared: Rows | None,
    count: jax.Array,
    *,
    spec: WindowSpec,
    batch_size: int,
    steps: int,
) -> list[tuple[Agent, Logs]]:
    def one(own: Any, count: jax.Array) -> tuple[Agent, Logs]:
        agent, fetched, replay, marks, key, first = own
        prior = fetched if shared is None else shared
        values = (agent, prior, replay, marks, key, first, count)
        return _block(*values, spec=spec, batch_size=batch_size, steps=steps)

    stacked = jax.tree.map(lambda *arrays: jnp.stack(arrays), *own)
    found = jax.vmap(one, in_axes=(0, None if count.ndim == 0 else 0))(stacked, count)
    return [jax.tree.map(itemgetter(i), found) for i in range(len(own))]


@partial(jax.jit, static_argnames=("spec", "batch_size", "steps"))
def _block(
    agent: Agent,
    prior: Rows | Fetched,
    replay: Rows | None,
    marks: Any,
    key: PRNGKeyArray,
    first: jax.Array,
    count: jax.Array,
    *,
    spec: WindowSpec,
    batch_size: int,
    steps: int,
) -> tuple[Agent, Logs]:
    """``count`` gradient steps."""

    def step(i: Any, agent: Agent) -> tuple[Agent, Logs]:
        sample_key, update_key = step_keys(key, first + i)
        now = None if marks is None else marks[i]
        own = prior
        if isinstance(prior, Fetched):
            own = Fetched(jax.tree.map(lambda array: array[i], prior.rows), prior.held)
        batch = draw_windows(own, replay, now, sample_key, spec, batch_size)
        return agent.update(batch, update_key)

    def body(i: Any, carry: tuple[Agent, Logs]) -> tuple[Agent, Logs]:
        agent, metrics = step(i, carry[0])
        return agent, {name: log.at[i].set(metrics[name]) for name, log in carry[1].items()}

    shapes = jax.eval_shape(step, 0, agent)[1]
    logs = {name: jnp.zeros(steps, shape.dtype) for name, shape in shapes.items()}
    return jax.lax.fori_loop(0, count, body, (agent, logs))


def step_keys(key: PRNGKeyArray, step: Any) -> tuple[PRNGKeyArray, PRNGKeyArray]:
    """The keys of gradient step ``step``: of its batch, and of its update."""
    sample_key, update_key = jax.random.split(jax.random.fold_in(key, step))
    return sample_key, update_key


def metric_names(agent: Agent, observation_dim: int, action_dim: int) -> list[str]:
    """What an agent's gradient steps log, in alphabetical order."""
    leaves, structure = jax.tree.flatten(agent)
    shapes = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
    return list(_metric_names(structure, shapes, observation_dim, action_dim))


@cache  # tracing a gradient step takes as long as compiling a small one
def _metric_names(
    structure: Any, shapes: tuple, observation_dim: int, action_dim: int
) -> tuple[str, ...]:
    agent = jax.tree.unflatten(structure, [jax.ShapeDtypeStruct(*shape) for shape in shapes])
    length = agent.config.chunk_length
    sizes = ((1, observation_dim), (1, length, action_dim), (1,), (1,))
    sizes = (*sizes, (1, observation_dim), (1, length))
    batch: Any = Batch(*(jnp.zeros(size) for size in sizes))

    def update(agent: Agent, batch: Batch) -> dict[str, jax.Array]:
        return agent.update(batch, jax.random.key(0))[1]

    return tuple(sorted(jax.eval_shape(update, agent, batch)))
