"""Files are written whole or not at all, and read whole or refused in one line."""

import contextlib
import io
import os
import pickle
import resource
import zipfile

import numpy as np
import pytest

from driftpolicy.data import files
from driftpolicy.data.files import checksums, read_npz, verify_npz, write_atomically, write_npz
from driftpolicy.errors import UserError

ARRAYS = {
    "observations": np.arange(20, dtype=np.float32).reshape(4, 5),
    "terminals": np.array([False, True]),
    "metadata": np.array('{"origin": "collected"}'),
}


@contextlib.contextmanager
def files_limited_to(size: int):
    """Every write beyond this size fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    text = str(error.value)
    assert text
    assert "\n" not in text
    return text


def same(left: dict, right: dict) -> bool:
    return left.keys() == right.keys() and all(
        np.array_equal(left[name], right[name]) and left[name].dtype == right[name].dtype
        for name in left
    )


@pytest.fixture
def path(tmp_path):
    write_npz(tmp_path / "old.npz", ARRAYS)
    return tmp_path / "old.npz"


def test_round_trip_and_reading_a_part(path):
    assert same(read_npz(path), ARRAYS)
    assert set(read_npz(path, only=("obs", "meta"))) == {"observations", "metadata"}
    verify_npz(path)
    with np.load(path) as plain:
        assert np.array_equal(plain["observations"], ARRAYS["observations"])


def test_same_arrays_give_the_same_bytes(path, tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 2e9)
    write_npz(tmp_path / "other.npz", ARRAYS)
    assert (tmp_path / "other.npz").read_bytes() == path.read_bytes()


def test_checksums_tell_contents_apart(path, tmp_path):
    changed = {**ARRAYS, "terminals": np.array([True, True])}
    write_npz(tmp_path / "changed.npz", changed)
    old, new = checksums(path), checksums(tmp_path / "changed.npz")
    assert {name for name in old if old[name] != new[name]} == {"terminals.npy"}


@pytest.mark.parametrize("room", [0, 100, 300, 600, 800])
def test_full_disk_keeps_the_old_file(path, room):
    before = path.read_bytes()
    assert len(before) > room
    with files_limited_to(room), pytest.raises(UserError, match="cannot write data file") as error:
        write_npz(path, {**ARRAYS, "actions": np.ones(10)})
    assert str(path) in one_line(error)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_an_interrupt_while_writing_keeps_the_old_file(path):
    def write(file):
        file.write(b"half")
        raise KeyboardInterrupt

    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, write, what="data file")
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_nothing_moves_into_place_before_it_is_on_the_disk(path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            files.os, name, lambda *a, n=name, r=real: calls.append(n) or r(*a), raising=True
        )
    write_npz(path, ARRAYS)
    assert calls == ["fsync", "replace", "fsync"]


def test_a_folder_that_is_a_file(path):
    with pytest.raises(UserError, match="cannot write") as error:
        write_npz(path / "below.npz", ARRAYS)
    one_line(error)


def test_pickled_objects_are_refused_both_ways(tmp_path):
    objects = np.array([{}, 1], dtype=object)
    with pytest.raises(ValueError, match="allow_pickle"):
        write_npz(tmp_path / "new.npz", {"a": objects})
    assert os.listdir(tmp_path) == []
    np.savez(tmp_path / "pickled.npz", a=objects)
    with pytest.raises(UserError, match=r"arrays of Python objects \(a\)") as error:
        read_npz(tmp_path / "pickled.npz")
    one_line(error)


def foreign_files() -> dict[str, bytes]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme.txt", "no arrays here")
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    return {
        "empty": b"",
        "text": b"<html>\n<body>Please log in</body>\n</html>",
        "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "pickle": pickle.dumps({"observations": [1, 2]}),
        "npy": array.getvalue(),
        "zip": archive.getvalue(),
    }


@pytest.mark.parametrize("kind", foreign_files())
@pytest.mark.parametrize("read", [read_npz, verify_npz])
def test_foreign_files(tmp_path, kind, read):
    (tmp_path / "foreign.npz").write_bytes(foreign_files()[kind])
    with pytest.raises(UserError, match="not an npz file") as error:
        read(tmp_path / "foreign.npz")
    one_line(error)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(UserError, match=r"checkpoint .*a\.npz does not exist"):
        read_npz(tmp_path / "a.npz", what="checkpoint")
    with pytest.raises(UserError, match="Is a directory"):
        read_npz(tmp_path)


@pytest.mark.parametrize("compressed", [False, True])
def test_no_damage_passes_as_data(tmp_path, compressed):
    """Cut anywhere, or with any byte changed, a file is refused, or its arrays are unharmed."""
    path = tmp_path / "damaged.npz"
    if compressed:
        np.savez_compressed(path, **ARRAYS)
    else:
        write_npz(path, ARRAYS)
    whole = path.read_bytes()
    refused = []
    cut = [whole[:length] for length in range(0, len(whole), 9)]
    flipped = [
        whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :] for i in range(len(whole))
    ]
    for damaged in cut + flipped:
        path.write_bytes(damaged)
        try:
            arrays = read_npz(path)
        except UserError as error:
            refused.append(str(error))
        else:
            assert same(arrays, ARRAYS)
    assert len(refused) > 0.6 * len(cut + flipped)
    assert not any("\n" in line for line in refused)


def test_verification_finds_every_flipped_bit_of_the_data(path):
    whole = path.read_bytes()
    start = whole.index(ARRAYS["observations"].tobytes())
    for i in range(start, start + ARRAYS["observations"].nbytes, 7):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 0x10]) + whole[i + 1 :])
        with pytest.raises(UserError, match="checksum"):
            verify_npz(path)
