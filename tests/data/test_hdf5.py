"""What an HDF5 file lists is in it, of a size that can be, or one line says what is not."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from driftpolicy.data.files import LARGE, read_npz, require_plausible
from driftpolicy.data.hdf5 import open_hdf5, reading_hdf5
from driftpolicy.errors import UserError, in_brief, listing

h5py = pytest.importorskip("h5py", reason="needs h5py: uv sync --extra hdf5")


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as error:
        open_hdf5(path)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def path(tmp_path) -> Path:
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["a/x"] = np.arange(3)
        file["a/soft"] = h5py.SoftLink("/a/x")
        file["hard"] = file["a"]
    return tmp_path / "a.hdf5"


def test_links_within_the_file_are_followed(path):
    with open_hdf5(path) as file:
        assert file["hard/soft"][()].tolist() == [0, 1, 2]


def test_what_lies_elsewhere_is_refused(path):
    """Where the other file is missing, such data would be read as zeros."""
    source = h5py.VirtualSource("other.hdf5", "y", shape=(3,))
    layout = h5py.VirtualLayout(shape=(3,), dtype="f4")
    layout[:] = source

    def store(name: str, group) -> None:
        match name:
            case "outside":
                group[name] = h5py.ExternalLink("other.hdf5", "/y")
            case "virtual":
                group.create_virtual_dataset(name, layout, fillvalue=0)
            case "external":
                group.create_dataset(name, (3,), "f4", external=[("raw.bin", 0, 12)])
            case "broken":
                group[name] = h5py.SoftLink("/nowhere")

    for name, reason in (
        ("outside", "is a link to another file"),
        ("virtual", "is stored in another file"),
        ("external", "is stored in another file"),
        ("broken", "a link to something that is not there"),
    ):
        with h5py.File(path, "a") as file:
            store(name, file["a"])
        assert reason in refusal(path)
        assert name in refusal(path)
        with h5py.File(path, "a") as file:
            del file["a"][name]
    open_hdf5(path).close()


def test_sizes_that_cannot_be_are_refused_before_memory_is_taken(path):
    with h5py.File(path, "a") as file:
        file.create_dataset("rows", (10**12, 4), "f4", chunks=(1000, 4))
    assert "claims 16,000,000,000,024 bytes of numbers in" in refusal(path)
    require_plausible(path, LARGE)
    npz = path.with_suffix(".npz")
    np.savez_compressed(npz, a=np.zeros(LARGE + 8, np.uint8))
    with pytest.raises(UserError, match="which cannot be"):
        read_npz(npz)


def test_a_head_that_claims_another_size_is_damage(tmp_path):
    array = io.BytesIO()
    np.save(array, np.zeros(111))
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", array.getvalue().replace(b"(111,)", b"(999,)"))
    with pytest.raises(UserError, match=r"claims the shape \(999,\) in 888 bytes"):
        read_npz(path)


@pytest.mark.parametrize("kind", [OSError, KeyError, RuntimeError, ValueError, TypeError])
def test_every_error_is_one_line(path, kind):
    with pytest.raises(UserError, match="not an HDF5 file") as error, reading_hdf5(path):
        raise kind("x\ny" * 999)
    assert len(str(error.value)) < 500
    path.write_bytes(path.read_bytes()[:-40])
    assert "truncated" in refusal(path)
    with h5py.File(path, "w") as file:
        file[b"episode_\xff"] = np.zeros(3)
    assert "damaged" in refusal(path)
    assert "no such file" in refusal(path.with_name("b"))
    assert "Is a directory" in refusal(path.parent)


def test_names_are_shortened():
    assert in_brief(ValueError()) == "ValueError"
    assert in_brief("a\x00b") == "a?b"
    assert listing([]) == "nothing"
    assert listing("abc", 2) == "a, b and 1 more"
    assert len(listing(["x" * 5000] * 5000)) < 800
