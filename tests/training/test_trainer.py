"""A run in one process: exact interruption, boundaries, logs, failures."""

import contextlib
import dataclasses
import errno
import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from driftpolicy.data import files
from driftpolicy.errors import UserError
from driftpolicy.runs import checkpoints
from driftpolicy.runs.folder import RunFolder
from driftpolicy.training.loop import train
from driftpolicy.training.restore import load_agent
from driftpolicy.training.state import RunState

from .conftest import assert_same_run, rows_without_time, run_to_end, tiny, trainer_of

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def whole(data_file, dataset, workers, tmp_path_factory):
    """A run never interrupted."""
    path = tmp_path_factory.mktemp("whole") / "run"
    folder, trainer, starts = run_to_end(tiny(data_file), path, dataset, workers)
    assert starts == 1
    return folder, trainer


def test_stopping_at_every_safe_point_changes_nothing(data_file, dataset, workers, whole, tmp_path):
    calls = itertools.count()
    folder, trainer, starts = run_to_end(
        tiny(data_file), tmp_path / "run", dataset, workers, stop=lambda: next(calls) % 5 == 4
    )
    assert starts > 8
    assert_same_run((folder, trainer), whole)


class _Killed(BaseException):
    """Stands for a process that dies with whatever is on disk."""


@pytest.mark.parametrize(
    "deaths", [(3, 9), (14,), pytest.param((17, 2, 25), marks=pytest.mark.slow)]
)
def test_dying_between_checkpoints_changes_nothing(
    data_file, dataset, workers, whole, tmp_path, deaths
):
    folder = RunFolder(tmp_path / "run")
    for points in deaths:
        countdown = iter(range(points, -1, -1))

        def die(countdown=countdown):
            if next(countdown) == 0:
                raise _Killed

        trainer = trainer_of(tiny(data_file), folder, dataset, workers)
        with pytest.raises(_Killed):
            train([trainer], stop=lambda: False, report=die)
        trainer.close()
        # Half a row, as a crash in mid-write would leave it.
        with open(folder.train_csv, "ab") as file:
            file.write(b"12,off")
    _, trainer, starts = run_to_end(tiny(data_file), folder.path, dataset, workers)
    assert starts == 1
    assert_same_run((folder, trainer), whole)


@pytest.mark.slow
def test_same_seed_same_run_other_seed_other_run(data_file, dataset, workers, whole, tmp_path):
    folder, trainer, _ = run_to_end(tiny(data_file), tmp_path / "same", dataset, workers)
    assert_same_run((folder, trainer), whole)
    config = tiny(data_file, seed=1, offline_steps=10, online_steps=0, eval_episodes=1)
    other, _, _ = run_to_end(config, tmp_path / "other", dataset, workers)
    first = rows_without_time(other.train_csv)[0]
    assert first != rows_without_time(whole[0].train_csv)[0]


def test_rows_stand_at_the_boundaries_of_each_phase(whole):
    folder, trainer = whole
    evaluations = rows_without_time(folder.eval_csv)
    steps = [(int(row["step"]), row["phase"]) for row in evaluations]
    assert steps == [(47, "offline"), (60, "offline"), (107, "online"), (150, "online")]
    logged = [int(row["step"]) for row in rows_without_time(folder.train_csv)]
    offline = [*range(7, 60, 7), 60]
    assert logged == offline + [60 + step for step in [*range(7, 90, 7), 90]]
    assert trainer.step == 150
    names = [path.name for path in checkpoints.list_checkpoints(folder.checkpoints)]
    assert names == ["step-0000000129.npz", "step-0000000150.npz"]


def test_gradient_steps_start_after_the_warm_up(whole):
    for row in rows_without_time(whole[0].train_csv):
        step, updated = int(row["step"]), row["critic_loss"] != ""
        assert updated == (step <= 60 or step > 60 + 20)
        assert (row["improvement_loss"] != "") == (step > 60 + 20)


def test_without_an_offline_phase(data_file, dataset, workers, tmp_path):
    config = tiny(data_file, offline_steps=0, online_steps=30, warmup_steps=5, eval_episodes=1)
    folder, trainer, _ = run_to_end(config, tmp_path / "run", dataset, workers)
    assert {row["phase"] for row in rows_without_time(folder.train_csv)} == {"online"}
    assert trainer.agent.anchor is not None


@pytest.mark.slow
def test_a_full_disk_loses_nothing(data_file, dataset, workers, whole, tmp_path, monkeypatch):
    folder = RunFolder(tmp_path / "run")
    trainer = trainer_of(tiny(data_file), folder, dataset, workers)
    real = np.lib.format.write_array

    def full(file, *arguments, **options):
        if trainer.step > 80:
            file.write(b"half a checkpoint")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file, *arguments, **options)

    monkeypatch.setattr(files.np.lib.format, "write_array", full)
    with pytest.raises(UserError, match="No space left on device") as raised:
        train([trainer], stop=lambda: False, report=lambda: None)
    assert "\n" not in str(raised.value)
    trainer.close()
    monkeypatch.undo()
    names = sorted(p.name for p in folder.checkpoints.iterdir())
    assert [name.partition("-")[0] for name in names] == ["offline", "step", "step"]
    _, trainer, _ = run_to_end(tiny(data_file), folder.path, dataset, workers)
    assert_same_run((folder, trainer), whole)


def copy_of_checkpoint(whole, path: Path) -> RunFolder:
    folder = RunFolder(path)
    folder.create(whole[1].config)
    folder.checkpoints.mkdir()
    source = checkpoints.latest(whole[0].checkpoints)
    (folder.checkpoints / source.name).write_bytes(source.read_bytes())
    return folder


def test_other_prior_data_are_refused(data_file, dataset, workers, whole, tmp_path):
    folder = copy_of_checkpoint(whole, tmp_path / "run")
    with pytest.raises(UserError, match="prior data are not those"):
        trainer_of(tiny(data_file), folder, dataset, workers, data_id="others")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 7}, "says seed 7, but the run began with 0: put that back"),
        ({"batch_size": 8}, "batch_size 8, but the run began with 16"),
        ({"offline_steps": 50}, "offline_steps 50"),
        ({"online_steps": 200}, "online_steps 200"),
        ({"num_envs": 2}, "num_envs 2"),
        ({"log_every": 8}, "log_every 8"),
        ({"eval_episodes": 3}, "eval_episodes 3"),
        ({"actor_hidden": (16, 8)}, "actor_hidden 16 8, but the run began with 16"),
    ],
)
def test_a_config_edited_in_mid_run_is_refused(data_file, dataset, workers, whole, changes, words):
    with pytest.raises(UserError, match=words):
        trainer_of(tiny(data_file, **changes), whole[0], dataset, workers)


def test_what_changes_no_number_may_be_edited(data_file, dataset, whole):
    free = {"processes": 2, "video": True, "data": "elsewhere.npz", "loggers": ("wandb",)}
    run = RunState(tiny(data_file, **free), whole[0], dataset, "data")
    assert run.step == 150
    run.close()


@pytest.mark.parametrize(
    ("group", "name", "change", "words"),
    [
        ("replay", "counts", None, "lacks counts"),
        ("replay", "observations", lambda a: a[:1], "damaged replay"),
        ("replay", "observations", lambda a: a[:, :1], "observations is float32"),
        ("replay", "rewards", lambda a: a.astype(np.float64), "rewards is float64"),
        ("replay", "counts", lambda a: a[::-1], "damaged replay"),
        ("replay", "more", lambda a: np.zeros(1), "unknown more"),
        (
            "collection",
            "0.pending",
            lambda a: np.zeros((2, 2), np.float32),
            "pending is float32",
        ),
        ("collection", "0.environment.seed", None, r"lacks 0\.environment\.seed"),
        ("collection", "0.environment.actions", lambda a: a[..., None], "actions is float32"),
        ("collection", "rewards", lambda a: np.zeros(2), "rewards is float64"),
    ],
)
def test_arrays_that_do_not_fit_are_named(
    data_file, dataset, workers, whole, tmp_path, group, name, change, words
):
    folder = copy_of_checkpoint(whole, tmp_path / "run")
    path = checkpoints.latest(folder.checkpoints)
    saved = checkpoints.Checkpoint.load(path)
    arrays = dict(getattr(saved, group))
    array = arrays.pop(name, None)
    if change is not None:
        arrays[name] = change(array)
    dataclasses.replace(saved, **{group: arrays}).save(folder.checkpoints)
    with pytest.raises(UserError, match=words) as raised:
        trainer_of(tiny(data_file), folder, dataset, workers)
    assert str(path) in str(raised.value)


def test_a_checkpoint_under_another_name_is_refused(data_file, dataset, workers, whole, tmp_path):
    folder = copy_of_checkpoint(whole, tmp_path / "run")
    path = checkpoints.latest(folder.checkpoints)
    path.rename(path.with_name("step-0000000151.npz"))
    with pytest.raises(UserError, match="holds step 150: it is of another run"):
        trainer_of(tiny(data_file), folder, dataset, workers)


def test_damaged_logs_do_not_cost_the_run(data_file, dataset, workers, whole, tmp_path):
    folder = copy_of_checkpoint(whole, tmp_path / "run")
    folder.eval_csv.write_bytes(whole[0].eval_csv.read_bytes().replace(b"offline", b"off1ine"))
    trainer = trainer_of(tiny(data_file), folder, dataset, workers)
    assert [remark.partition(" was")[0] for remark in trainer.remarks] == [str(folder.eval_csv)]
    trainer.close()
    assert_same_run((folder, trainer), whole)
    assert b"off1ine" in (folder.path / "eval.csv.damaged").read_bytes()


def test_another_simulator_is_noticed(data_file, dataset, whole, tmp_path):
    folder = copy_of_checkpoint(whole, tmp_path / "run")
    meta, groups = checkpoints.load(checkpoints.latest(folder.checkpoints))
    moved = groups["collection"]["0.environment.observation"]
    groups["collection"]["0.environment.observation"] = moved + 1e-6
    checkpoints.save(folder.checkpoints, meta["step"], meta, groups)
    run = RunState(tiny(data_file), folder, dataset, "data")
    with contextlib.closing(run), pytest.raises(UserError, match="does not reproduce"):
        run.start_environments()


def test_a_loss_that_is_not_finite_stops_the_run(data_file, dataset, workers, tmp_path):
    config = tiny(data_file, learning_rate=1e30)
    trainer = trainer_of(config, RunFolder(tmp_path / "run"), dataset, workers)
    with contextlib.closing(trainer), pytest.raises(UserError, match="not finite at step"):
        train([trainer], stop=lambda: False, report=lambda: None)


def test_load_agent_needs_the_path_alone(whole):
    agent, checkpoint = load_agent(checkpoints.latest(whole[0].checkpoints))
    assert checkpoint.config == whole[1].config
    assert checkpoint.step == 150
    assert_equal = np.testing.assert_array_equal
    for x, y in zip(jax.tree.leaves(agent), jax.tree.leaves(whole[1].agent), strict=True):
        assert_equal(np.asarray(x), np.asarray(y))


def test_a_policy_needs_the_path_alone(whole):
    import driftpolicy

    folder, trainer = whole
    policy = driftpolicy.load_policy(folder.path)
    observation = np.linspace(-1, 1, 28)
    chunk = policy.act(observation, seed=5)
    assert chunk.shape == (5, 5)
    assert np.abs(chunk).max() <= 1
    rule = trainer.agent.decision_rule
    noise = rule.draw_noise(jax.random.key(5))
    expected = rule(jnp.asarray(observation, jnp.float32), noise)
    np.testing.assert_allclose(chunk, expected, atol=1e-6)
    np.testing.assert_array_equal(chunk, policy.act(observation, seed=5))
    assert not np.array_equal(chunk, policy.act(observation, seed=6))
    assert policy.act(np.zeros((3, 28)), seed=0).shape == (3, 5, 5)
    with pytest.raises(UserError, match="28 numbers"):
        policy.act(np.zeros(27), seed=0)
    with pytest.raises(UserError, match="NaN"):
        policy.act(np.full(28, np.nan), seed=0)
    for seed in (-1, 2**32):  # each would be another seed's chunk
        with pytest.raises(UserError, match=f"seed must be from 0 to 4294967295, not {seed}"):
            policy.act(observation, seed=seed)
    with pytest.raises(UserError, match="nowhere does not exist"):
        driftpolicy.load_policy(folder.path / "nowhere")
