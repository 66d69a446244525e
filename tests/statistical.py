"""Assertions about what differs from seed to seed, and the record of how far off their bounds are.

A test that trains or samples takes its randomness from :func:`key`, asserts with
:func:`assert_within`, and carries the mark ``statistical``. Each bound lies at least four standard
deviations from the mean over many base seeds. ``tests/robustness.py`` measures that: it runs these
tests under other seeds and instruction sets and reads the record.
"""

import json
import os
from pathlib import Path

import jax
import numpy as np

BASE_SEED_VARIABLE = "DRIFTPOLICY_TEST_SEED"
RECORD_VARIABLE = "DRIFTPOLICY_TEST_RECORD"
BASE_SEED = int(os.environ.get(BASE_SEED_VARIABLE, "0"))


def seed(number: int) -> int:
    """Return the seed that stands for ``number`` under this run's base seed."""
    return number + 1000 * BASE_SEED


def key(number: int) -> jax.Array:
    """Return the random key that stands for ``number`` under this run's base seed."""
    return jax.random.key(seed(number))


def assert_within(name: str, values, low: float = -np.inf, high: float = np.inf) -> None:
    """Assert that every value lies in ``[low, high]``, and record all of them.

    Args:
        name: what the values are; names them within the test.
        values: a number or an array. Its entries must have one distribution, whose spread over the
            base seeds is held against the bounds.
        low: the least value allowed.
        high: the greatest value allowed.
    """
    values = np.atleast_1d(np.asarray(values, np.float64))
    if record := os.environ.get(RECORD_VARIABLE):
        test = os.environ["PYTEST_CURRENT_TEST"].partition(" ")[0]
        line = {"test": test, "name": name, "values": values.ravel().tolist()}
        with Path(record).open("a") as file:
            file.write(json.dumps(line | {"low": low, "high": high}) + "\n")
    assert np.all((values >= low) & (values <= high)), f"{name}: {values} not in [{low}, {high}]"
