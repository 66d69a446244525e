"""Blocks of gradient steps: the same steps, however they are compiled and drawn."""

import jax
import numpy as np
import pytest

from driftpolicy.config import resolve
from driftpolicy.data.replay import Replay
from driftpolicy.data.transitions import Dataset
from driftpolicy.data.windows import WindowSpec
from driftpolicy.training import blocks as module
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


def _after_a_block():
    widths = {"actor_hidden": (32, 32), "critic_hidden": (32, 32)}
    agent = new_agent(resolve(None, "dfp", "quickstart", widths), 3, 2, RunKeys(0).init)
    draw, rows = np.random.default_rng(0), 200
    dataset = Dataset(
        draw.standard_normal((rows, 3), np.float32),
        draw.uniform(-1, 1, (rows, 2)).astype(np.float32),
        -np.ones(rows, np.float32),
        np.ones(rows, np.float32),
        np.arange(rows) % 50 == 49,
    )
    spec = BlockSpec(WindowSpec(agent.config.chunk_length, 0.99), 16, 3)
    given = BlockInput(replay=None, marks=None, key=RunKeys(0).update, first=np.int32(0))
    agent, metrics = block(agent, dataset.resident(), given, np.int32(3), spec=spec)
    return jax.tree.leaves((agent, metrics))


def test_products_alone_come_to_the_same(monkeypatch):
    if not module._knows_products_alone():
        pytest.skip("this compiler has no such option")
    merged = _after_a_block()
    monkeypatch.setattr(module, "_WIDE", 32)
    for one, other in zip(merged, _after_a_block(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    assert module._compiled_block(True)._cache_size() > 0


def test_a_compiler_without_the_option_does_without(monkeypatch):
    monkeypatch.setattr(module, "_WIDE", 32)
    monkeypatch.setattr(module, "_PRODUCTS_ALONE", {"xla_cpu_no_such_option": "yes"})
    module._knows_products_alone.cache_clear()
    try:
        assert not module._knows_products_alone()
        assert len(_after_a_block()) > 0
    finally:
        module._knows_products_alone.cache_clear()
