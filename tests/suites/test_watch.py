"""What the run folders say."""

import pytest

from driftpolicy.runs.folder import RunFolder
from driftpolicy.suites.watch import (
    Pace,
    Rate,
    Snapshot,
    difference,
    in_use,
    objection,
    read_folder,
)
from tests.suites.common import cells


def test_a_folder_is_read_up_to_its_last_whole_row(tmp_path):
    folder = RunFolder(tmp_path)
    assert read_folder(folder) == Snapshot(0, None, False)
    folder.train_csv.write_text("step,phase,loss\r\n500,offline,1.0\r\n1000,offl")
    folder.eval_csv.write_text("step,phase,success,wall_s\r\n600,offline,0.25,3\r\n700,offline")
    assert read_folder(folder) == Snapshot(1000, 0.25, False)
    folder.train_csv.write_text("step,phase,loss\r\n500,offline,1.0\r\nx")
    folder.checkpoints.mkdir()
    (folder.checkpoints / "step-0000002000.npz").touch()
    folder.write_summary({})
    assert read_folder(folder) == Snapshot(2000, 0.25, True)


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
    assert difference(cells(1, **settings)[0].config(), cells(1)[0].config()) == sentence


def test_a_folder_without_its_config_or_with_a_damaged_one_is_not_ours(tmp_path):
    folder, wanted = RunFolder(tmp_path / "a"), cells(1)[0].config()
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
    assert not in_use(folder)
    with folder.lock():
        assert in_use(folder)
    assert not in_use(folder)
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
    folder.eval_csv.write_text("step,phase,wall_s\n10,offline,20\n20,offline,40\n40,online,100\n")
    pace.add_run("dfp", folder)
    assert pace.left("dfp", {"offline": 5, "online": 10}) == 5 * 2 + 10 * 3
    assert pace.left("fql", {"offline": 5, "online": 0}) == 10
    pace.add("fql", "offline", 4.0, 4)
    assert pace.left("fql", {"offline": 5, "online": 0}) == 5
    assert pace.left("dfp", {"offline": 5, "online": 0}) == 10
