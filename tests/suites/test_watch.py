"""What the run folders say."""

import pytest

from driftpolicy.runs import Run
from driftpolicy.runs.folder import RunFolder
from driftpolicy.suites.matching import difference, objection
from driftpolicy.suites.watch import Pace, Rate, Snapshot, look_at
from tests.suites.common import cells

HEAD = "step,phase,success,return,length,episodes,wall_s\r\n"


def test_a_folder_is_read_up_to_its_last_whole_row(tmp_path):
    folder, run = RunFolder(tmp_path), Run(tmp_path)
    assert look_at(run) == Snapshot(0, None, False)
    folder.train_csv.write_text("step,phase,loss\r\n500,offline,1.0\r\n1000,offl")
    folder.eval_csv.write_text(HEAD + "600,offline,0.25,-1,9,4,3\r\n700,offline")
    assert look_at(run) == Snapshot(600, 0.25, False)
    folder.train_csv.write_text("step,phase,loss\r\n500,offline,1.0\r\nx")
    folder.checkpoints.mkdir()
    (folder.checkpoints / "step-0000002000.npz").touch()
    folder.write_summary({})
    assert look_at(run) == Snapshot(2000, 0.25, True)


def test_a_damaged_table_does_not_stop_whoever_watches(tmp_path):
    folder, run, pace = RunFolder(tmp_path), Run(tmp_path), Pace()
    folder.train_csv.write_text("step,phase,loss\r\n500,offline,1.0\r\n")
    folder.eval_csv.write_text(HEAD + "6O0,offline,0.25,-1,9,4,3\r\n")
    assert look_at(run) == Snapshot(500, None, False)
    pace.add_run("dfp", run)
    assert pace.left("dfp", {"offline": 5, "online": 0}) is None
    folder.train_csv.write_bytes(b"\xff\r\n\xff\r\n")
    assert look_at(run) == Snapshot(0, None, False)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, ""),
        ({"data": "x.npz", "processes": 9, "log_every": 3, "video": False}, ""),
        ({"batch_size": 8}, "has batch_size 8, the suite says 256"),
        ({"temperatures": [0.1, 0.2]}, "has temperatures 0.1 0.2, the suite says 0.05"),
        ({"eval_episodes": 10}, "has eval_episodes 10, the suite says 50"),
    ],
)
def test_what_makes_another_run_is_named(settings, sentence):
    assert difference(cells(1, **settings)[0].config, cells(1)[0].config) == sentence


def test_a_folder_without_its_config_or_with_a_damaged_one_is_not_ours(tmp_path):
    folder, wanted = RunFolder(tmp_path / "a"), cells(1)[0].config
    assert objection(folder, wanted) == ""
    folder.create(wanted)
    assert objection(folder, wanted) == ""
    folder.config_file.write_text("{")
    assert "the config is damaged" in objection(folder, wanted)
    folder.config_file.unlink()
    folder.train_csv.write_text("step\n")
    assert "holds no run" in objection(folder, wanted)


def test_a_lock_is_seen_and_asking_takes_none(tmp_path):
    folder = RunFolder(tmp_path)
    assert not folder.in_use()
    with folder.lock():
        assert folder.in_use()
    assert not folder.in_use()
    with folder.lock():
        pass


def test_a_rate_counts_changes_and_starts_anew_when_a_run_went_back():
    rate = Rate()
    assert rate.add(0.0, 0) == (0.0, 0)
    assert rate.add(5.0, 0) == (0.0, 0)
    assert rate.add(10.0, 50) == (10.0, 50)
    assert float(rate) == 5.0
    assert rate.add(11.0, 20) == (0.0, 0)
    assert float(rate) == 0.0
    assert rate.add(13.0, 30) == (2.0, 10)


def test_the_time_left_comes_from_the_same_method_else_from_all(tmp_path):
    pace = Pace()
    assert pace.left("dfp", {"offline": 1, "online": 0}) is None
    folder = RunFolder(tmp_path)
    rows = ("10,offline,0.5,-1,9,4,20", "20,offline,0.5,-1,9,4,40", "40,online,0.5,-1,9,4,100")
    folder.eval_csv.write_text(HEAD + "".join(f"{row}\r\n" for row in rows))
    pace.add_run("dfp", Run(tmp_path))
    assert pace.left("dfp", {"offline": 5, "online": 10}) == 5 * 2 + 10 * 3
    assert pace.left("fql", {"offline": 5, "online": 0}) == 10
    pace.add("fql", "offline", 4.0, 4)
    assert pace.left("fql", {"offline": 5, "online": 0}) == 5
    assert pace.left("dfp", {"offline": 5, "online": 0}) == 10
