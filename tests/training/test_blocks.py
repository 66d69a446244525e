"""The compiled gradient steps of one run, in whatever form its products are compiled."""

import jax
import numpy as np
import pytest

from driftpolicy.config import resolve
from driftpolicy.data.transitions import Dataset
from driftpolicy.data.windows import WindowSpec
from driftpolicy.training import blocks
from driftpolicy.training.blocks import BlockInput, BlockSpec, block
from driftpolicy.training.restore import new_agent
from driftpolicy.training.seeding import RunKeys


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
    if not blocks._knows_products_alone():
        pytest.skip("this compiler has no such option")
    merged = _after_a_block()
    monkeypatch.setattr(blocks, "_WIDE", 32)
    for one, other in zip(merged, _after_a_block(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    assert blocks._compiled_block(True)._cache_size() > 0


def test_a_compiler_without_the_option_does_without(monkeypatch):
    monkeypatch.setattr(blocks, "_WIDE", 32)
    monkeypatch.setattr(blocks, "_PRODUCTS_ALONE", {"xla_cpu_no_such_option": "yes"})
    blocks._knows_products_alone.cache_clear()
    try:
        assert not blocks._knows_products_alone()
        assert len(_after_a_block()) > 0
    finally:
        blocks._knows_products_alone.cache_clear()
