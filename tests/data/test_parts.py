"""Parts of a file: kept while they are made, for the same work and no other."""

import numpy as np
import pytest

from driftpolicy.data.parts import drop_parts, kept_parts


@pytest.fixture
def work(tmp_path):
    """A function that collects parts, as many as asked for, and says which were made."""

    def collect(count, *, stop=None, seed=0):
        made, parts = [], []

        def make(numbers):
            for number in numbers:
                made.append(number)
                yield {"a/b": np.full(3, number + 10 * seed, np.float32), "n": np.array(number)}

        for part in kept_parts(tmp_path / "x.npz", {"seed": seed}, count, make):
            parts.append(part)
            if len(parts) == stop:
                break
        return made, [float(part["a/b"][0]) for part in parts]

    return collect


def test_interrupted_work_goes_on(work, tmp_path):
    assert work(5, stop=2) == ([0, 1], [0, 1])
    assert work(5, stop=4) == ([2, 3], [0, 1, 2, 3])
    assert work(3) == ([], [0, 1, 2])
    assert work(5) == ([4], [0, 1, 2, 3, 4])
    assert work(5) == ([], [0, 1, 2, 3, 4])
    drop_parts(tmp_path / "x.npz")
    assert list(tmp_path.iterdir()) == []
    drop_parts(tmp_path / "x.npz")


def test_parts_of_other_work_are_not_taken(work):
    assert work(3) == ([0, 1, 2], [0, 1, 2])
    assert work(3, seed=1, stop=1) == ([0], [10])
    assert work(2) == ([0, 1], [0, 1])


def test_what_is_damaged_is_made_again(work, tmp_path):
    work(4)
    part = tmp_path / ".x.npz.parts" / "000001.npz"
    whole = part.read_bytes()
    part.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    made, values = work(4)
    assert (made, values) in (([1, 2, 3], [0, 1, 2, 3]), ([], [0, 1, 2, 3]))
    part.unlink()
    assert work(4) == ([1, 2, 3], [0, 1, 2, 3])
    (part.parent / "identity.npz").write_text("{")
    assert work(2) == ([0, 1], [0, 1])
