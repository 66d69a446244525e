"""Windows read ahead from the disk are those that the device would have drawn."""

import jax
import numpy as np
import pytest

from driftpolicy.data.replay import Replay
from driftpolicy.data.windows import Fetched, WindowSpec, draw_windows
from driftpolicy.runs.folder import RunFolder
from driftpolicy.tasks.ogbench.shards import open_shards
from driftpolicy.tasks.registry import find_task
from driftpolicy.training.blocks import step_keys
from driftpolicy.training.supply import AHEAD, Resident, Streamed

from .conftest import TASK, assert_same_run, rows_without_time, run_to_end, tiny, trainer_of

SPEC = WindowSpec(3, 0.99)
KEY = jax.random.key(3)


def streamed(prior, blocks):
    return Streamed(prior, KEY, SPEC, 8, iter(blocks))


def test_each_step_has_its_own_batch_whatever_the_blocks(dataset):
    draw = jax.jit(draw_windows, static_argnums=(4, 5))
    for blocks in ([(0, 2, 2), (2, 2, 2)], [(0, 1, 3), (1, 3, 3)]):
        supply, found = streamed(dataset, blocks), []
        for first, count, steps in blocks:
            fetched = supply.rows(first, count, steps, None)
            assert fetched.rows.last.shape == (steps, 8 * 4)
            found += [jax.tree.map(lambda a, i=i: a[i], fetched.rows) for i in range(count)]
        supply.close()
        for step, rows in enumerate(found):
            key = step_keys(KEY, step)[0]
            expected = draw(dataset.resident(), None, None, key, SPEC, 8)
            own = draw(Fetched(rows, len(dataset)), None, None, key, SPEC, 8)
            jax.tree.map(np.testing.assert_array_equal, own, expected)


def test_no_more_is_read_ahead_than_it_says(dataset, monkeypatch):
    asked = []
    supply = streamed(dataset, ((i, 1, 1) for i in range(20) if asked.append(i) is None))
    supply.rows(0, 1, 1, None)
    assert asked == list(range(AHEAD + 1))
    supply.rows(1, 1, 1, None)
    assert asked == list(range(AHEAD + 2))
    supply.close()


def test_the_union_with_the_replay(dataset):
    replay = Replay(30, 28, 5, slack=2)
    replay.start_episode(np.full(28, 9.0))
    for _ in range(20):
        replay.add(np.zeros(5), -1.0, False, np.full(28, 9.0))
    marks = np.stack([replay.marks()] * 2)
    marks[1, 0, 0] += 10**6  # as if far more had been written: then all draws are online
    marks[1, 0, 1] += 2 * 10**6
    supply = streamed(dataset, [])
    fetched = supply.rows(7, 2, 2, marks)
    supply.close()
    draw = jax.jit(draw_windows, static_argnums=(4, 5))
    for i in range(2):
        key = step_keys(KEY, 7 + i)[0]
        rows = jax.tree.map(lambda a, i=i: a[i], fetched.rows)
        given = (replay.mirror(), marks[i], key, SPEC, 8)
        expected, found = (
            draw(dataset.resident(), *given),
            draw(Fetched(rows, len(dataset)), *given),
        )
        jax.tree.map(np.testing.assert_array_equal, found, expected)
        assert i == 0 or np.all(np.asarray(found.observation) == 9.0)


@pytest.fixture(scope="module")
def shards(data_file, tmp_path_factory):
    """The tiny file as the only shard."""
    folder = tmp_path_factory.mktemp("shards")
    (folder / "play-0.npz").symlink_to(data_file)
    return open_shards(find_task(TASK), folder)


@pytest.mark.slow
@pytest.mark.simulator
def test_a_run_from_the_disk_is_the_run_from_the_device(
    data_file, dataset, shards, workers, tmp_path
):
    """But for rounding, as they are two programs; ``online_prior`` decides what stays online.

    Stopped and resumed, the run from the disk is the same to the last bit.
    """
    brief = {"method": "bc", "chunk_length": 3}  # compiles fast
    brief |= {"offline_steps": 30, "online_steps": 20, "warmup_steps": 5}
    brief |= {"eval_every": 100, "eval_episodes": 1, "checkpoint_every": 100}
    host, calls = tiny(data_file, online_prior=0, **brief), iter(range(100))
    folder, trainer, starts = run_to_end(
        host, tmp_path / "stopped", shards, workers, stop=lambda: next(calls) == 6
    )
    assert starts > 1
    whole = run_to_end(host, tmp_path / "host", shards, workers)
    assert_same_run((folder, trainer), whole[:2])
    file = run_to_end(tiny(data_file, **brief), tmp_path / "file", dataset, workers)
    rows, expected = (rows_without_time(run.train_csv) for run in (folder, file[0]))
    for row, other in zip(rows, expected, strict=True):
        assert row.keys() == other.keys()
        for name in row:
            if name == "phase" or not row[name]:
                assert row[name] == other[name]
            else:
                np.testing.assert_allclose(float(row[name]), float(other[name]), rtol=1e-3)


def test_what_stays_online_is_on_the_device(data_file, shards, workers, tmp_path):
    trainer = trainer_of(tiny(data_file, online_prior=100), RunFolder(tmp_path), shards, workers)
    assert isinstance(trainer.run.offline_prior, Streamed)
    assert isinstance(trainer.run.online_prior, Resident)
    assert len(trainer.run.online_prior.rows(60, 1, 5, None).starts) == 149
    trainer.close()
