"""A share of the trials of tests/fuzz/formats.py; ``python -m tests.fuzz`` makes more."""

import importlib

import pytest

from tests.fuzz.__main__ import batch

NEEDS = {
    ".hdf5": "h5py",
    "lerobot": "pyarrow",
    "minari": "minari",
    "zarr": "zarr",
}
formats = importlib.import_module("tests.fuzz.formats")


def require(name: str) -> None:
    for part, package in NEEDS.items():
        if part in name:
            pytest.importorskip(package)


@pytest.mark.parametrize("name", formats.TARGETS)
def test_a_few_damaged_files(name):
    require(name)
    outcomes = {formats.trial(name, seed) for seed in range(8)}
    assert formats.REFUSED in outcomes


@pytest.mark.slow
def test_many_damaged_files():
    """In a process of its own, which a crash or a hang of a library would end."""
    for name in formats.TARGETS:
        require(name)
    counts = batch(list(formats.TARGETS), first=1000, count=20, limit_s=900)
    for outcomes in counts.values():
        assert sum(outcomes.values()) == 20
        assert outcomes[formats.REFUSED] > 0
