"""Checkpoint files: atomic, versioned, refused by name when they do not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from driftpolicy.errors import UserError
from driftpolicy.networks import MLP
from driftpolicy.runs import checkpoints


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
    arrays = {name: np.asarray(leaf) for name, leaf in checkpoints.tree_arrays(tree).items()}
    assert "layers.0.weight" in arrays
    like = jax.eval_shape(lambda: tree)
    back = checkpoints.restore_tree(like, arrays, tmp_path)
    for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(back), strict=True):
        np.testing.assert_array_equal(a, b)

    def refused(changed, match):
        with pytest.raises(UserError, match=match):
            checkpoints.restore_tree(like, changed, tmp_path)

    refused({k: v for k, v in arrays.items() if k != "layers.0.bias"}, r"lacks layers\.0\.bias")
    refused(arrays | {"more": np.ones(1)}, "holds an unknown more")
    refused(arrays | {"layers.0.bias": np.ones(5, np.float32)}, r"\(5,\), the config says")
    refused(arrays | {"layers.0.bias": np.ones(4)}, "float64")


def test_meta_must_survive_json(tmp_path):
    with pytest.raises(TypeError):
        save(tmp_path, meta={"array": jnp.ones(2)})
    assert checkpoints.list_checkpoints(tmp_path) == []
