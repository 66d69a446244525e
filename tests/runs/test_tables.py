"""CSV tables that can be cut back."""

import math

import pytest

from driftpolicy.errors import UserError
from driftpolicy.runs.tables import CsvLog, read_csv


def test_rows_are_written_in_full(tmp_path):
    log = CsvLog(tmp_path / "a.csv", ("step", "x", "y"), 0)
    log.write({"step": 1, "x": 0.1 + 0.2, "y": math.nan})
    log.close()
    assert (tmp_path / "a.csv").read_bytes() == b"step,x,y\r\n1,0.30000000000000004,\r\n"
    assert read_csv(tmp_path / "a.csv") == [{"step": "1", "x": "0.30000000000000004", "y": ""}]
    assert read_csv(tmp_path / "none.csv") == []


def test_cut_back_to_what_the_checkpoint_knows(tmp_path):
    path = tmp_path / "a.csv"
    log = CsvLog(path, ("step",), 0)
    log.write({"step": 1})
    length = log.length()
    log.write({"step": 2})
    log.close()
    log = CsvLog(path, ("step",), length)
    log.write({"step": 3})
    log.close()
    assert [row["step"] for row in read_csv(path)] == ["1", "3"]
    with pytest.raises(UserError, match="has lost rows"):
        CsvLog(path, ("step",), 1000)


def test_a_row_needs_its_columns(tmp_path):
    log = CsvLog(tmp_path / "a.csv", ("step",), 0)
    with pytest.raises(ValueError, match="columns"):
        log.write({"stop": 1})
    log.close()
