"""Checkpoint files: atomic, versioned, refused by name when they do not fit."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from driftpolicy.config import resolve
from driftpolicy.errors import UserError
from driftpolicy.networks import MLP
from driftpolicy.runs import checkpoints, trees
from driftpolicy.runs.checkpoints import Checkpoint
from driftpolicy.scaling import Scaling


def save(folder, step=3, meta=None, **groups):
    return checkpoints.save(folder, step, {"step": step} | (meta or {}), groups)


def test_round_trip(tmp_path):
    arrays = {"a": np.arange(3.0), "b": np.array([True]), "empty": np.zeros((0, 5), np.float32)}
    path = save(tmp_path, meta={"sum": 0.1 + 0.2}, agent=arrays, replay={"a": np.ones(2)})
    meta, groups = checkpoints.load(path)
    assert meta["sum"] == 0.1 + 0.2  # every digit
    assert set(groups) == {"agent", "replay"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(groups["agent"][name], array)
        assert groups["agent"][name].dtype == array.dtype
    assert set(checkpoints.load(path, "agent")[1]) == {"agent"}


def test_the_last_two_are_kept(tmp_path):
    for step in (5, 100, 20):
        save(tmp_path, step)
    assert [p.name for p in checkpoints.list_checkpoints(tmp_path)] == [
        "step-0000000020.npz",
        "step-0000000100.npz",
    ]
    assert checkpoints.latest(tmp_path).name == "step-0000000100.npz"


def test_no_checkpoint(tmp_path):
    with pytest.raises(UserError, match="holds no checkpoint"):
        checkpoints.latest(tmp_path)
    with pytest.raises(UserError, match=f"^{tmp_path} holds no checkpoint"):
        checkpoints.checkpoint_of(tmp_path)
    with pytest.raises(UserError, match=r"^nowhere does not exist$"):
        checkpoints.checkpoint_of(Path("nowhere"))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"config.json is no checkpoint: name a run's folder, or"):
        checkpoints.load(checkpoints.checkpoint_of(tmp_path / "config.json"))


def test_a_checkpoint_is_found_by_its_run_its_folder_and_itself(tmp_path):
    saved = [save(tmp_path / "checkpoints", step) for step in (40, 80)]
    for path in (tmp_path, tmp_path / "checkpoints", saved[1]):
        assert checkpoints.checkpoint_of(path) == saved[1]
    with pytest.raises(UserError, match=r"99.npz does not exist; there are .*40.npz, .*80.npz"):
        checkpoints.checkpoint_of(tmp_path / "checkpoints" / "step-0000000099.npz")


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "foreign", "text"])
def test_damage_is_noticed_in_one_line(tmp_path, damage):
    path = save(tmp_path, agent={"a": np.arange(1000.0)})
    content = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        at = len(content) // 2
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "foreign":
        np.savez(path, x=np.ones(2))
    else:
        path.write_text("not a checkpoint")
    with pytest.raises(UserError, match="is corrupted") as raised:
        checkpoints.load(path)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)


def test_a_newer_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "VERSION", 99)
    path = save(tmp_path)
    monkeypatch.undo()
    with pytest.raises(UserError, match="version 99, written by a newer driftpolicy"):
        checkpoints.load(path)


def test_trees_are_restored_by_name(tmp_path):
    tree = MLP(3, (4,), 2, layer_norm=True, key=jax.random.key(0))
    arrays = {name: np.asarray(leaf) for name, leaf in trees.tree_arrays(tree).items()}
    assert "layers.0.weight" in arrays
    like = jax.eval_shape(lambda: tree)
    back = trees.restore_tree(like, arrays, tmp_path)
    for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(back), strict=True):
        np.testing.assert_array_equal(a, b)

    def refused(changed, match):
        with pytest.raises(UserError, match=match):
            trees.restore_tree(like, changed, tmp_path)

    refused({k: v for k, v in arrays.items() if k != "layers.0.bias"}, r"lacks layers\.0\.bias")
    refused(arrays | {"more": np.ones(1)}, "holds an unknown more")
    refused(arrays | {"layers.0.bias": np.ones(5, np.float32)}, r"\(5,\), the config says")
    refused(arrays | {"layers.0.bias": np.ones(4)}, "float64")


def test_meta_must_survive_json(tmp_path):
    with pytest.raises(TypeError):
        save(tmp_path, meta={"array": jnp.ones(2)})
    assert checkpoints.list_checkpoints(tmp_path) == []


def a_checkpoint(**changes) -> Checkpoint:
    scaling = Scaling(
        observation_mean=(0.0,) * 9,
        observation_deviation=(1.0,) * 9,
        action_low=(-2.0,),
        action_high=(0.1 + 0.2,),
    )
    values = {
        "config": resolve("lift-mh-low_dim", "dfp", "small", {"seed": 3}),
        "data_id": "0badcafe",
        "step": 70,
        "online": True,
        "wall_s": 0.1 + 0.2,
        "last_eval": {"step": 60, "phase": "offline", "success": 0.5},
        "means": {"sums": {"loss": 0.3}, "counts": {"loss": 2}},
        "csv_lengths": {"eval": 61, "train": 0},
        "observation_dim": 9,
        "action_dim": 1,
        "scaling": scaling,
        "control_rate": 20.0,
        "agent": {"actor.weight": jnp.arange(3.0)},
        "replay": {"counts": np.ones((3, 1), np.int64)},
        "collection": {"0.pending": np.zeros((2, 1), np.float32)},
        "owed_marks": np.int32([[1, 2], [3, 4]]),
    }
    return Checkpoint(**values | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "online": False,
            "last_eval": None,
            "scaling": None,
            "control_rate": None,
            "collection": {},
            "owed_marks": np.zeros(0, np.int32),
        },
    ],
)
def test_a_checkpoint_holds_what_it_always_held(tmp_path, changes):
    """The file's bytes are those of version 2 as the first program wrote it."""
    checkpoint = a_checkpoint(**changes)
    c = checkpoint
    meta = {
        "config": c.config.to_json(),
        "data": c.data_id,
        "step": c.step,
        "online": c.online,
        "wall_s": c.wall_s,
        "last_eval": c.last_eval,
        "means": c.means,
        "csv": c.csv_lengths,
        "dims": (c.observation_dim, c.action_dim),
        "scaling": c.scaling and c.scaling.to_json(),
        "control_rate": c.control_rate,
    }
    groups = {
        "agent": c.agent,
        "replay": c.replay,
        "collection": c.collection,
        "owed": {"marks": np.array(list(c.owed_marks), np.int32)},
    }
    before = checkpoints.save(tmp_path / "before", c.step, meta, groups)
    now = checkpoint.save(tmp_path / "now")
    assert now.name == before.name
    assert checkpoints.step_of(now) == 70
    assert now.read_bytes() == before.read_bytes()
    back = Checkpoint.load(now)
    assert back.save(tmp_path / "back").read_bytes() == now.read_bytes()
    assert (back.config, back.scaling, back.version) == (c.config, c.scaling, 2)
    back.require_current(now)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_agent_that_is_not_finite_is_neither_written_nor_read(tmp_path, monkeypatch, value):
    good = a_checkpoint().save(tmp_path)
    broken = a_checkpoint(step=71, agent={"counts": np.ones(2, int), "w": jnp.array([1, value])})
    with pytest.raises(UserError, match=r"0071\.npz is not written: w holds NaN or infinity"):
        broken.save(tmp_path)
    with pytest.raises(UserError, match="is not written"):
        broken.write(tmp_path / "offline-end.npz")
    assert list(tmp_path.iterdir()) == [good]
    monkeypatch.setattr(checkpoints, "require_finite", lambda *_: None)
    path = broken.save(tmp_path)
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"0071\.npz cannot be used: w holds NaN"):
        Checkpoint.load(path, policy_only=True)


def test_logs_are_kept_to_the_byte(tmp_path):
    logs = {"eval": b"step\r\n", "train": b""}
    back = Checkpoint.load(a_checkpoint(logs=logs).save(tmp_path))
    assert back.logs == logs
    assert back.csv_lengths == {"eval": 6, "train": 0}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("step", "70", "its step is '70'"),
        ("online", 1, "its online is 1"),
        ("dims", [9], "zip"),
        ("dims", [9, 1.0], "its dims is"),
        ("wall_s", None, "its wall_s is None"),
        ("last_eval", [], "its last_eval is"),
        ("means", {"sums": {}}, "'counts'"),
        ("means", {"sums": {"loss": "x"}, "counts": {"loss": 1}}, "sums"),
        ("means", {"sums": {"loss": 0.5}, "counts": {}}, "other sums than counts"),
        ("control_rate", "20", "its control_rate is"),
        ("config", "{", "config is damaged"),
        ("scaling", {"observation_mean": [0.0]}, "1 numbers of observation_mean"),
        ("scaling", {"observation_mean": [0.0] * 9}, "scaling is damaged"),
        ("version", "2", "its version is '2'"),
    ],
)
def test_meta_data_of_another_type_are_named(tmp_path, name, value, words):
    meta, groups = a_checkpoint()._stored()
    path = checkpoints.save(tmp_path, 70, meta | {name: value}, groups)
    with pytest.raises(UserError, match=words) as raised:
        Checkpoint.load(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_policy_needs_the_agent_alone(tmp_path):
    path = a_checkpoint().save(tmp_path)
    policy = Checkpoint.load(path, policy_only=True)
    assert set(policy.agent) == {"actor.weight"}
    assert not policy.replay
    assert not policy.collection
    assert len(policy.owed_marks) == 0


def test_an_older_checkpoint_has_a_policy_but_is_not_continued(tmp_path, monkeypatch):
    c = a_checkpoint()
    meta = {"config": c.config.to_json(), "data": "x", "step": 1, "online": False, "wall_s": 1.0}
    meta |= {"last_eval": None, "means": c.means, "csv": c.csv_lengths, "dims": [9, 1]}
    monkeypatch.setattr(checkpoints, "VERSION", 1)
    path = checkpoints.save(tmp_path, 1, meta, {"agent": c.agent})
    monkeypatch.undo()
    old = Checkpoint.load(path, policy_only=True)
    assert (old.version, old.scaling, old.control_rate) == (1, None, None)
    with pytest.raises(UserError, match="continues runs of version 2"):
        old.require_current(path)


def test_what_is_no_checkpoint_of_a_run_is_named(tmp_path):
    path = save(tmp_path, agent={"a": np.ones(1)})
    with pytest.raises(UserError, match=r"step-0000000003\.npz does not hold a run: 'config'"):
        Checkpoint.load(path)
    (tmp_path / "step-old.npz").touch()
    assert checkpoints.list_checkpoints(tmp_path) == [path]
    with pytest.raises(UserError, match="not named like a checkpoint"):
        checkpoints.step_of(tmp_path / "step-old.npz")
