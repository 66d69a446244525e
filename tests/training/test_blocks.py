"""Blocks of gradient steps: what an accelerator draws ahead is what each step would draw."""

import jax
import numpy as np
import pytest

from driftpolicy.data.replay import Replay
from driftpolicy.data.windows import WindowSpec
from driftpolicy.training.blocks import BlockInput, BlockSpec, block, blocks
from driftpolicy.training.restore import new_agent
from driftpolicy.training.seeding import RunKeys
from driftpolicy.training.supply import Streamed

from .conftest import tiny

SPEC = BlockSpec(WindowSpec(3, 0.99), 8, 4)


@pytest.mark.parametrize("where", ["device", "disk"])
def test_batches_drawn_ahead_are_those_of_each_step(data_file, dataset, where):
    """Three steps of a block that holds four, from prior data and a replay that grows."""
    agent = new_agent(tiny(data_file, "bc", chunk_length=3), 28, 5, RunKeys(0).init)
    replay, marks = Replay(30, 28, 5, slack=2), []
    replay.start_episode(np.full(28, 0.5))
    for step in range(24):
        replay.add(np.full(5, step / 24), -1.0, False, np.full(28, step / 24))
        marks.append(replay.marks())
    given = BlockInput(replay.mirror(), np.stack(marks[-4:]), RunKeys(0).update, np.int32(7))
    prior = dataset.resident()
    if where == "disk":
        supply = Streamed(dataset, given.key, SPEC.windows, SPEC.batch_size, iter([]))
        prior = supply.rows(7, 3, 4, given.marks)
        supply.close()
    plain, expected = block(agent, prior, given, np.int32(3), spec=SPEC)

    agents, inputs = jax.tree.map(lambda array: array[None], (agent, given))
    shared = (True,) * len(jax.tree.leaves(prior))
    ahead, found = blocks(agents, prior, inputs, np.int32(3), spec=SPEC, shared=shared)
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-5)
    for one, other in zip(jax.tree.leaves(ahead), jax.tree.leaves(plain), strict=True):
        if one.dtype == np.float32:  # by Adam a gradient near zero is a step of either sign
            assert np.mean(np.abs(one[0] - other)) <= 1e-5
