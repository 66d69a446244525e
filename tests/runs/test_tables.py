"""Tables: written in full, cut back, and read only where they are what was written."""

import math

import pytest

from driftpolicy.errors import UserError
from driftpolicy.runs.tables import (
    EVAL_COLUMNS,
    CsvLog,
    Evaluation,
    last_training_step,
    read_evaluations,
    read_training,
)


def test_rows_are_written_in_full(tmp_path):
    log = CsvLog(tmp_path / "a.csv", ("step", "x", "y"))
    log.write({"step": 1, "x": 0.1 + 0.2, "y": math.nan})
    log.close()
    assert (tmp_path / "a.csv").read_bytes() == b"step,x,y\r\n1,0.30000000000000004,\r\n"


def test_cut_back_to_what_the_checkpoint_knows(tmp_path):
    path = tmp_path / "a.csv"
    log = CsvLog(path, ("step",))
    log.write({"step": 1})
    content = log.content()
    log.write({"step": 2})
    log.close()
    log = CsvLog(path, ("step",), content)
    log.write({"step": 3})
    assert log.content() == path.read_bytes()
    log.close()
    assert path.read_text().split() == ["step", "1", "3"]
    assert log.remark == ""


@pytest.mark.parametrize("damage", [b"step\r\n7\r\n", b"step\r\n", b"\xff", b"", None])
def test_a_damaged_log_is_written_again(tmp_path, damage):
    """What was found is kept beside it; of an empty or a missing file there is nothing to keep."""
    path, content = tmp_path / "a.csv", b"step\r\n1\r\n"
    if damage is not None:
        path.write_bytes(damage)
    log = CsvLog(path, ("step",), content)
    log.write({"step": 2})
    log.close()
    assert path.read_bytes() == content + b"2\r\n"
    aside = tmp_path / "a.csv.damaged"
    assert bool(log.remark) == bool(damage) == aside.exists()
    assert not damage or aside.read_bytes() == damage


def test_a_full_disk_is_one_error(tmp_path, monkeypatch):
    log = CsvLog(tmp_path / "a.csv", ("step",))
    log._file.close()
    log._file = open("/dev/full", "wb")  # noqa: SIM115
    with pytest.raises(UserError, match="No space left on device"):
        log.write({"step": 1})
    log.close()  # the row that is still to be flushed is no second error


def test_a_disk_that_does_not_keep_a_log_is_one_error(tmp_path, monkeypatch):
    log = CsvLog(tmp_path / "a.csv", ("step",))

    def fail(_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(UserError, match="Input/output error"):
        log.content()
    log.close()


def test_rows_of_a_run_with_other_columns_are_kept_by_name(tmp_path):
    """As of one that made the offline phase, in which neither measured what only one logs."""
    path = tmp_path / "a.csv"
    log = CsvLog(path, ("step", "b", "c", "d"), b"step,a,b,d\r\n1,,2.0,4.0\r\n")
    log.write({"step": 2, "b": 5.0, "c": 6.0, "d": 7.0})
    assert log.content() == path.read_bytes()
    log.close()
    assert path.read_text().split() == ["step,b,c,d", "1,2.0,,4.0", "2,5.0,6.0,7.0"]


@pytest.mark.parametrize(
    ("row", "message"), [("1,3.0,2.0", "line 2 has a, which"), ("1,2.0", "2 cells for 3 columns")]
)
def test_no_number_of_another_run_is_lost(tmp_path, row, message):
    with pytest.raises(UserError, match=message):
        CsvLog(tmp_path / "a.csv", ("step", "b"), f"step,a,b\r\n{row}\r\n".encode())


def test_a_row_needs_its_columns(tmp_path):
    log = CsvLog(tmp_path / "a.csv", ("step",))
    with pytest.raises(ValueError, match="columns"):
        log.write({"stop": 1})
    log.close()


def test_an_evaluation_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "eval.csv"
    log = CsvLog(path, EVAL_COLUMNS)
    rows = (
        Evaluation(10, "offline", 0.1 + 0.2, -1e-05, 2.5, 50, 3.0),
        Evaluation(20, "online", 1.0, math.nan, math.inf, 1, 1e21),
    )
    for row in rows:
        log.write(row.row())
    log.close()
    first, second = read_evaluations(path)
    assert first == rows[0]
    assert first.percent == 100 * (0.1 + 0.2)
    assert math.isnan(second.return_)
    assert (second.length, second.wall_s) == (math.inf, 1e21)


def test_rows_that_are_no_evaluations(tmp_path):
    path = tmp_path / "eval.csv"
    head = "step,phase,success,return,length,episodes,wall_s\r\n"
    good = "10,offline,0.5,-1.0,2.0,50,3.0\r\n"
    path.write_text(head + good + "20,offl")  # being written just now
    assert [row.step for row in read_evaluations(path)] == [10]
    path.write_text("")
    assert read_evaluations(path) == ()
    assert read_evaluations(tmp_path / "none.csv") == ()
    for bad, message in (
        ("x,offline,0.5,-1,2,50,3\r\n", "line 3 is no evaluation"),
        ("20,offline,1.5,-1,2,50,3\r\n", "line 3 is no evaluation"),
        ("20,lunch,0.5,-1,2,50,3\r\n", "line 3 is no evaluation"),
        ("10,offline,0.5,-1,2,50,3\r\n", "line 3 goes back to step 10"),
    ):
        path.write_text(head + good + bad)
        with pytest.raises(UserError, match=message):
            read_evaluations(path)
    path.write_text("a,b\r\n1,2\r\n")
    with pytest.raises(UserError, match="does not have the columns step,phase"):
        read_evaluations(path)


@pytest.mark.parametrize(
    "bad",
    [
        "2O,offline,0.5,-1,2,50,3",
        "2_0,offline,0.5,-1,2,50,3",
        "20,offline,0.5,-1,2,5 0,3",
        "20,offline,O.5,-1,2,50,3",
        "20,offline,,-1,2,50,3",
        "20,offline,nan,-1,2,50,3",
        "20,offline,0.5,-1.,2,50,3",
        "20,offline,0.5,-1,2,50,-3",
        "20,offline,0.5,-1,2,50",
        "20,offline,0.5,-1,2,50,3,4",
        '20,offline,"0.5",-1,2,50,3',
        "\N{ARABIC-INDIC DIGIT TWO}0,offline,0.5,-1,2,50,3",
        "",
    ],
)
def test_a_damaged_digit_is_no_number(tmp_path, bad):
    path = tmp_path / "eval.csv"
    good = "10,offline,0.5,-1.0,2.0,50,3.0\r\n"
    path.write_text(",".join(EVAL_COLUMNS) + "\r\n" + good + bad + "\r\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"eval\.csv: line 3 is no evaluation"):
        read_evaluations(path)


def test_phases_are_in_order(tmp_path):
    path = tmp_path / "eval.csv"
    rows = ("10,online,0.5,-1,2,50,3", "20,offline,0.5,-1,2,50,3")
    path.write_text("".join(f"{row}\r\n" for row in (",".join(EVAL_COLUMNS), *rows)))
    with pytest.raises(UserError, match="line 3 goes back to the phase offline"):
        read_evaluations(path)


def test_training_is_read_by_columns(tmp_path):
    path = tmp_path / "train.csv"
    assert len(read_training(path).steps) == last_training_step(path) == 0
    log = CsvLog(path, ("step", "phase", "loss", "norm"))
    assert list(read_training(path).metrics) == ["loss", "norm"]
    log.write({"step": 5, "phase": "offline", "loss": 0.1 + 0.2, "norm": math.nan})
    log.write({"step": 10, "phase": "online", "loss": -2e-07, "norm": 1.0})
    log.close()
    with open(path, "ab") as file:
        file.write(b"15,onl")  # being written just now
    training = read_training(path)
    assert training.steps.tolist() == [5, 10]
    assert training.phases == ("offline", "online")
    assert training.metrics["loss"].tolist() == [0.1 + 0.2, -2e-07]
    assert math.isnan(training.metrics["norm"][0])
    assert training.metrics["norm"][1] == 1.0
    assert last_training_step(path) == 10


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("1O,offline,1.0", r"train\.csv: line 3 is no row of training"),
        ("10,offline,1.0,2.0", "line 3 is no row of training"),
        ("10,lunch,1.0", "line 3 is no row of training"),
        ("10,offline,l.0", "line 3 is no row of training"),
        ("5,offline,1.0", "line 3 goes back to step 5"),
    ],
)
def test_damaged_rows_of_training_are_named(tmp_path, bad, message):
    path = tmp_path / "train.csv"
    path.write_text(f"step,phase,loss\r\n5,offline,1.0\r\n{bad}\r\n")
    with pytest.raises(UserError, match=message):
        read_training(path)


def test_other_tables_are_refused(tmp_path):
    path = tmp_path / "train.csv"
    for text in ("phase,step\r\n", "step,phase,loss,loss\r\n", "a\r\n"):
        path.write_text(text)
        with pytest.raises(UserError, match=r"train\.csv does not have columns"):
            read_training(path)
    path.write_bytes(b"step,phase\r\n\xff\r\n")
    with pytest.raises(UserError, match=r"cannot read .*train\.csv"):
        read_training(path)
