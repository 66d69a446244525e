"""Gradient steps in compiled blocks."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from driftpolicy.agents import Agent
from driftpolicy.batch import Batch

_Logs = dict[str, Float[Array, " steps"]]


@jax.jit
def update_block(
    agent: Agent,
    batches: Batch,
    key: PRNGKeyArray,
    first_step: Int[Array, ""],
    count: Int[Array, ""],
) -> tuple[Agent, _Logs]:
    """``count`` gradient steps in one compiled program, the same as one call of ``update`` each.

    Args:
        agent: before the first step.
        batches: arrays ``[steps, batch, ...]``, of which the first ``count`` are used.
        key: of the run; step ``t`` uses ``fold_in(key, t)`` and depends on nothing else.
        first_step: ``t`` of the first step.
        count: a value, not a shape: one compilation serves any number up to ``steps``.

    Returns:
        The agent, and each metric per step (zero beyond ``count``).
    """
    steps = batches.reward.shape[0]
    first = jax.tree.map(lambda a: a[0], batches)
    shapes = jax.eval_shape(lambda a, b: a.update(b, key)[1], agent, first)
    logs = {name: jnp.zeros(steps, shape.dtype) for name, shape in shapes.items()}

    def body(i: Int[Array, ""], carry: tuple[Agent, _Logs]) -> tuple[Agent, _Logs]:
        agent, logs = carry
        batch = jax.tree.map(lambda a: a[i], batches)
        agent, metrics = agent.update(batch, jax.random.fold_in(key, first_step + i))
        return agent, {name: log.at[i].set(metrics[name]) for name, log in logs.items()}

    return jax.lax.fori_loop(0, count, body, (agent, logs))
