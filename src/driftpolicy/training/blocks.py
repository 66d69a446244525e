"""Gradient steps in compiled blocks: sampling, loss and optimiser without the host.

One definition, ``_block``, serves one run and, vectorised over the runs, several side by side.
"""

from collections.abc import Mapping
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int32, Key, PRNGKeyArray

from driftpolicy.agents import Agent
from driftpolicy.agents.numbers import update
from driftpolicy.batch import Batch
from driftpolicy.data.transitions import Rows
from driftpolicy.data.windows import Fetched, WindowSpec, draw_windows

# In a loop XLA's library for CPUs takes the layers of a critic together with the norms between them
# in one call, which for wide layers takes longer than their products alone and the norms.
_PRODUCTS_ALONE = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}
_WIDE = 512


class BlockSpec(NamedTuple):
    """What a compiled block depends on besides the shapes of its arguments."""

    windows: WindowSpec
    batch_size: int
    """Windows per gradient step."""
    steps: int
    """The most gradient steps that the block can hold."""


class BlockInput(NamedTuple):
    """What the gradient steps of one run read; of several runs, with a leading axis."""

    replay: Rows | None
    """The mirror of the replay; None in the offline phase."""
    marks: Int32[Array | np.ndarray, "*runs steps rings 3"] | None
    """What the replay held at each step; None in the offline phase."""
    key: Key[Array, "*runs"]
    """The run's key for updates; step ``t`` uses ``fold_in(key, t)`` and nothing else."""
    first: Int32[Array | np.ndarray | np.int32, "*runs"]
    """``t`` of the first step."""
    numbers: Mapping[str, Float32[Array | np.ndarray, "*runs"]] | None = None
    """The numbers of the agents' configs in which the runs differ; None where there are none."""


def step_keys(key: PRNGKeyArray, step: Any) -> tuple[PRNGKeyArray, PRNGKeyArray]:
    """Return the keys of gradient step ``step``: for drawing its batch, and for its update."""
    sample_key, update_key = jax.random.split(jax.random.fold_in(key, step))
    return sample_key, update_key


def _block(
    agent: Agent,
    prior: Rows | Fetched,
    given: BlockInput,
    count: Any,
    spec: BlockSpec,
    *,
    ahead: bool = False,
) -> tuple[Agent, Float[Array, "steps metrics"]]:
    """Make ``count`` gradient steps; ``count`` is a value, so one program serves any number.

    With ``ahead`` the batches of a whole block are drawn before its first step, which spares an
    accelerator their kernels in every step; they are the same.

    Returns:
        The agent, and its metrics in the order of :func:`metric_names`, zero beyond ``count``.
    """

    def draw(i: Any) -> tuple[Batch, PRNGKeyArray]:
        sample_key, update_key = step_keys(given.key, given.first + i)
        marks = None if given.marks is None else given.marks[i]
        rows = prior
        if isinstance(prior, Fetched):
            rows = Fetched(jax.tree.map(lambda array: array[i], prior.rows), prior.held)
        batch = draw_windows(rows, given.replay, marks, sample_key, spec.windows, spec.batch_size)
        return batch, update_key

    drawn = jax.vmap(draw)(jnp.arange(spec.steps)) if ahead else None

    def step(i: Any, agent: Agent) -> tuple[Agent, Float[Array, " metrics"]]:
        batch, key = jax.tree.map(lambda array: array[i], drawn) if ahead else draw(i)
        agent, metrics = update(agent, given.numbers, batch, key)
        return agent, jnp.stack([metrics[name] for name in sorted(metrics)])

    def body(i: Any, carry: tuple[Agent, Any]) -> tuple[Agent, Any]:
        agent, metrics = step(i, carry[0])
        return agent, carry[1].at[i].set(metrics)

    shape = jax.eval_shape(step, 0, agent)[1]
    log = jnp.zeros((spec.steps, *shape.shape), shape.dtype)
    return jax.lax.fori_loop(0, count, body, (agent, log))


def block(
    agent: Agent, prior: Rows | Fetched, given: BlockInput, count: Any, *, spec: BlockSpec
) -> tuple[Agent, Float[Array, "steps metrics"]]:
    """Make ``count`` gradient steps of one run; return the agent, and its metrics in a row each."""
    widest = max(*agent.config.actor_hidden, *agent.config.critic_hidden)
    alone = widest >= _WIDE and _knows_products_alone()
    return _compiled_block(alone)(agent, prior, given, count, spec=spec)


@cache
def _compiled_block(products_alone: bool) -> Any:
    options = _PRODUCTS_ALONE if products_alone else None
    return jax.jit(_block, static_argnames="spec", compiler_options=options)


@cache
def _knows_products_alone() -> bool:
    """Tell whether there is a CPU to compile for, and its compiler has the option."""
    if jax.default_backend() != "cpu":
        return False
    try:
        jax.jit(jnp.negative, compiler_options=_PRODUCTS_ALONE).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


@partial(jax.jit, static_argnames=("spec", "shared"), donate_argnames="agents")
def blocks(
    agents: Agent,
    prior: Rows | Fetched,
    given: BlockInput,
    count: Int32[Array, "..."],
    *,
    spec: BlockSpec,
    shared: tuple[bool, ...],
) -> tuple[Agent, Float[Array, "runs steps metrics"]]:
    """Make the gradient steps of several runs as one program; consumes ``agents``.

    Args:
        agents: stacked along a leading axis, as ``given``.
        prior: the prior data; arrays that are not shared have a leading axis.
        given: what each run reads.
        count: one number for all runs, which spares choosing between old and new parameters at
            every step, or one for each.
        spec: of the block.
        shared: for each array of ``prior`` whether all runs read the same one.
    """
    structure = jax.tree.structure(prior)
    axes = structure.unflatten([None if one else 0 for one in shared])
    run = partial(_block, spec=spec, ahead=True)
    return jax.vmap(run, in_axes=(0, axes, 0, 0 if count.ndim else None))(
        agents, prior, given, count
    )


def metric_names(agent: Agent, observation_dim: int, action_dim: int) -> list[str]:
    """Return what an agent's gradient steps log, in alphabetical order."""
    leaves, structure = jax.tree.flatten(agent)
    shapes = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
    return list(_metric_names(structure, shapes, observation_dim, action_dim))


@cache  # tracing a gradient step takes as long as compiling a small one
def _metric_names(
    structure: Any, shapes: tuple, observation_dim: int, action_dim: int
) -> tuple[str, ...]:
    agent = jax.tree.unflatten(structure, [jax.ShapeDtypeStruct(*shape) for shape in shapes])
    length = agent.config.chunk_length
    batch = Batch(
        observation=jnp.zeros((1, observation_dim)),
        actions=jnp.zeros((1, length, action_dim)),
        reward=jnp.zeros(1),
        mask=jnp.zeros(1),
        next_observation=jnp.zeros((1, observation_dim)),
        valid=jnp.zeros((1, length)),
    )

    def metrics(agent: Agent, batch: Batch) -> dict[str, jax.Array]:
        return agent.update(batch, jax.random.key(0))[1]

    return tuple(sorted(jax.eval_shape(metrics, agent, batch)))
