"""A dataset in shards is one dataset; it is converted once; what is broken is named."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

from driftpolicy.data import mapping as module
from driftpolicy.data.files import MappedRows, write_npz
from driftpolicy.data.shards import Shards
from driftpolicy.data.windows import Fetched, WindowSpec, draw, draw_windows
from driftpolicy.errors import UserError
from driftpolicy.tasks.ogbench import dataset
from driftpolicy.tasks.ogbench.dataset import find_dataset, load_dataset
from driftpolicy.tasks.ogbench.shards import list_shards, open_shards
from driftpolicy.tasks.registry import find_task

TASK = find_task("cube-double-play-singletask-task2-v0")
NAMES = ("play-v0-0.npz", "play-v0-2.npz", "play-v0-10.npz")


def cut(arrays: dict[str, np.ndarray], *episodes: slice) -> dict[str, np.ndarray]:
    """Some rows as episodes of their own."""
    parts = {name: [array[e] for e in episodes] for name, array in arrays.items()}
    made = {name: np.concatenate(part) for name, part in parts.items()}
    ends = np.cumsum([len(range(*e.indices(50))) for e in episodes]) - 1
    made["terminals"] = np.isin(np.arange(len(made["terminals"])), ends).astype(np.float32)
    return made


@pytest.fixture(scope="module")
def parts(episodes):
    """Episodes of 1 to 24 transitions in three shards, one shard a single short episode."""
    arrays = episodes["cube-double"]
    return [
        cut(arrays, slice(0, 25), slice(25, 28), slice(28, 50)),
        cut(arrays, slice(3, 5)),
        cut(arrays, slice(10, 14), slice(20, 42)),
    ]


def publish(parts, folder: Path) -> Path:
    for name, part in zip(NAMES, parts, strict=True):
        np.savez_compressed(folder / name, **part)  # as published
    np.savez_compressed(folder / "play-v0-0-val.npz", **parts[1])
    return folder


@pytest.fixture
def folder(parts, tmp_path) -> Path:
    return publish(parts, tmp_path)


@pytest.fixture(scope="module")
def shards(parts, tmp_path_factory) -> Shards:
    return open_shards(TASK, publish(parts, tmp_path_factory.mktemp("shards")))


@pytest.fixture(scope="module")
def whole(parts, tmp_path_factory):
    """The same in one file."""
    path = tmp_path_factory.mktemp("whole") / "one.npz"
    write_npz(path, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    return load_dataset(TASK, path)


def test_shards_are_found_in_the_order_of_their_numbers(folder, tmp_path):
    assert [path.name for path in list_shards(folder)] == list(NAMES)
    assert find_dataset(TASK, str(folder)) == folder
    for name in ("b-play.npz", "a-play.npz", "c-play.npz"):  # whatever the file system says
        (tmp_path / "same").mkdir(exist_ok=True)
        (tmp_path / "same" / name).touch()
    assert [path.name[0] for path in list_shards(tmp_path / "same")] == ["a", "b", "c"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no file of training data"):
        list_shards(tmp_path / "empty")


def test_the_published_folder_is_found(folder, tmp_path, monkeypatch):
    task = find_task("cube-quadruple-play-100m-singletask-task2-v0")
    published = tmp_path / "home" / task.dataset
    monkeypatch.setattr("driftpolicy.tasks.ogbench.dataset.PUBLISHED_FOLDER", published.parent)
    assert find_dataset(task) is None
    published.mkdir(parents=True)
    (published / "cube-quadruple-play-v0-000.npz").touch()
    assert find_dataset(task) == published


@pytest.mark.parametrize("length", [1, 4, 30])
def test_every_window_is_that_of_the_data_in_one_file(shards, whole, length):
    assert (len(shards), shards.episodes) == (len(whole), whole.episodes)
    assert (shards.observation_dim, shards.action_dim) == (37, 5)
    spec = WindowSpec(length, 0.99)
    count = len(whole)
    for key in map(jax.random.key, range(3)):
        drawn = np.asarray(draw(key, count, None, 600))
        assert len(set(drawn)) == count  # every window there is
        expected = jax.jit(draw_windows, static_argnums=(4, 5))(
            whole.resident(), None, None, key, spec, 600
        )
        for prior in (shards, whole):
            fetched = Fetched(prior.gather(drawn, length), count)
            found = jax.jit(draw_windows, static_argnums=(4, 5))(
                fetched, None, None, key, spec, 600
            )
            jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_shards_on_the_device_are_the_data_in_one_file(shards, whole):
    resident = shards.resident()
    moves = ~whole.rows.last  # a final row's action, reward and mask mean nothing
    for name, found, expected in zip(whole.rows._fields, resident, whole.rows, strict=True):
        chosen = slice(None) if name in ("observations", "last", "starts") else moves
        np.testing.assert_array_equal(np.asarray(found)[chosen], expected[chosen], err_msg=name)


def test_what_stays_online(shards, whole):
    few = shards.beside_replay(25)  # 24 in the first episode, 2 in the second
    assert (len(few), few.episodes) == (26, 2)
    np.testing.assert_array_equal(few.rows.observations, whole.rows.observations[:28])
    assert few is shards.beside_replay(25)
    assert not few.on_disk
    for count in (0, len(shards), 10**9):
        assert shards.beside_replay(count) is shards


@pytest.mark.slow
def test_shards_are_converted_once_for_all_tasks_and_again_if_they_change(
    folder, parts, monkeypatch
):
    read = []
    real = dataset.load_dataset

    def load(task, path):
        read.append(path.name)
        return real(task, path)

    monkeypatch.setattr(dataset, "load_dataset", load)
    first = open_shards(TASK, folder).description
    assert read == list(NAMES)
    assert open_shards(TASK, folder).description == first
    assert len(read) == 3
    rows = folder / "mapped" / "play-v0-2.rows.npz"
    written = rows.stat().st_mtime_ns
    other = find_task("cube-double-play-singletask-task3-v0")
    open_shards(other, folder)  # needs other rewards, the same rows
    assert read == list(NAMES) * 2
    assert rows.stat().st_mtime_ns == written
    np.savez_compressed(folder / NAMES[1], **cut(parts[0], slice(0, 9)))
    (folder / "mapped" / "play-v0-10.rows.npz").write_bytes(b"half")
    read.clear()
    changed = open_shards(TASK, folder)
    assert read == list(NAMES[1:])
    assert changed.description["crc32"] != first["crc32"]
    assert changed.gather(np.array([24 + 2 + 21 + 7], np.int32), 1).observations.shape == (2, 37)
    np.savez_compressed(folder / "play-v0-11.npz", **parts[1])
    assert len(open_shards(TASK, folder)) == len(changed) + 1
    assert read == [*NAMES[1:], "play-v0-11.npz"]


def test_an_interrupted_conversion_goes_on(folder):
    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_shards(TASK, folder, progress=interrupt)
    assert {path.name for path in (folder / "mapped").iterdir()} == {
        f"play-v0-{n}.{kind}.npz" for n in (0, 2) for kind in ("rows", TASK.environment)
    }
    written = {path: path.stat().st_mtime_ns for path in (folder / "mapped").iterdir()}
    seen = []
    open_shards(TASK, folder, progress=lambda *numbers: seen.append(numbers))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert all(path.stat().st_mtime_ns == time for path, time in written.items())


def test_a_broken_shard_is_named_and_left_out_only_if_asked(folder, parts):
    broken = folder / NAMES[1]
    broken.write_bytes(broken.read_bytes()[:-100])
    for problem in ("truncated", "does not end at an episode's end"):
        with pytest.raises(UserError, match=f"{NAMES[1]}.*{problem}.*--skip-broken") as error:
            open_shards(TASK, folder)
        assert "\n" not in str(error.value)
        lines = []
        shards = open_shards(TASK, folder, skip_broken=True, warn=lines.append)
        assert shards.description["shards"] == 2
        (line,) = lines
        assert re.match(f"left out: .*{NAMES[1]}", line)
        assert "\n" not in line
        np.savez_compressed(broken, **{k: v[:-3] for k, v in parts[0].items()})
    for name in NAMES:
        (folder / name).write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"all 3 shards .* are broken"):
        open_shards(TASK, folder, skip_broken=True, warn=lines.append)


def test_room_is_asked_for_beforehand(folder, tmp_path, monkeypatch):
    asked = []

    def usage(path):
        asked.append(path)
        return type("Usage", (), {"free": 10_000})

    monkeypatch.setattr(module.shutil, "disk_usage", usage)
    with pytest.raises(UserError, match=r"takes 13.7 kB .*10 kB are free.*--data-cache"):
        open_shards(TASK, folder, cache=tmp_path / "new" / "cache")
    assert asked == [tmp_path]
    assert not (tmp_path / "new").exists()


def test_only_what_is_stored_uncompressed_can_be_mapped(tmp_path):
    matrix = np.arange(12, dtype=np.float32).reshape(4, 3)
    write_npz(tmp_path / "plain.npz", {"x": np.zeros(1, np.int8), "matrix": matrix})
    mapped = MappedRows(tmp_path / "plain.npz", "matrix")
    for _ in range(2):
        np.testing.assert_array_equal(
            mapped.take(np.array([[3, 0], [1, 1]])), matrix[[[3, 0], [1, 1]]]
        )
        mapped.release()
    np.savez_compressed(tmp_path / "packed.npz", matrix=matrix)
    with pytest.raises(UserError, match="cannot be mapped"):
        MappedRows(tmp_path / "packed.npz", "matrix")
    with pytest.raises(UserError, match="does not exist"):
        MappedRows(tmp_path / "none.npz", "matrix")


def test_a_folder_is_inspected_by_the_heads_of_its_shards(folder, capsys):
    from driftpolicy.cli import main

    (folder / NAMES[1]).write_bytes(b"nothing")
    assert main(["data", "inspect", str(folder)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "2: play-v0-0.npz to play-v0-10.npz" in shown
    assert "rows 76, 26 to 50" in shown
    assert "truncated" in shown.split("broken")[1]
