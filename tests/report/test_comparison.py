"""What differs between two runs."""

import pytest

from driftpolicy.cli import main
from driftpolicy.config import resolve
from driftpolicy.errors import UserError
from driftpolicy.report.comparison import NOT_RECORDED, Row, compare
from driftpolicy.runs import load_run
from driftpolicy.runs.folder import RunFolder
from tests.report.conftest import CUBE

EVALUATIONS = (
    "step,phase,success,return,length,episodes,wall_s\r\n"
    "6000,offline,0.25,-190.5,195.0,4,10.5\r\n"
    "12000,online,0.75,,84.0,4,30.25\r\n"
)
TRAINING = (
    "step,phase,loss,episode_success\r\n3000,offline,0.5,\r\n9000,online,0.25,1.0\r\n"
    "12000,online,0.125,1.0\r\n"
)
SUMMARY = {
    "version": "1",
    "versions": {"driftpolicy": "1", "jax": "0.10.2"},
    "data": {"crc32": "ab", "origin": "collected", "path": "x.npz"},
}


def made(path, method="dfp", evaluations=EVALUATIONS, training=TRAINING, summary=(), **settings):
    folder = RunFolder(path)
    path.mkdir()
    folder.create(resolve(CUBE, method, "small", settings))
    folder.eval_csv.write_text(evaluations)
    folder.train_csv.write_text(training)
    if summary is not None:
        folder.write_summary(SUMMARY | dict(summary))
    return load_run(path)


@pytest.fixture
def run(tmp_path):
    return made(tmp_path / "run")


def test_a_run_is_like_itself_whatever_time_it_took(run, tmp_path):
    later = EVALUATIONS.replace("30.25", "99")
    found = compare(run, made(tmp_path / "other", evaluations=later))
    assert (found.settings, found.versions, found.data) == ((), (), ())
    assert found.logs == (
        "eval.csv is the same, to step 12,000",
        "train.csv is the same, to step 12,000",
    )
    assert Row("time", "30 s", "1 min 39 s") in found.results
    success = "25.0% [5, 70] of 4 episodes"
    assert Row("  success", success, success) in found.results
    assert Row("  return", "nan", "nan") in found.results


def test_what_decided_the_runs(run, tmp_path):
    summary = {"versions": {"driftpolicy": "1", "jax": "0.11"}, "data": {"crc32": "cd"}}
    other = made(tmp_path / "other", "iql", summary=summary, seed=3, actor_hidden=(8, 8))
    found = compare(run, other)
    settings = {row.name: (row.first, row.second) for row in found.settings}
    assert settings["method"] == ("dfp", "iql")
    assert settings["seed"] == ("0", "3")
    assert settings["actor_hidden"] == ("256 256", "8 8")
    assert settings["positives"] == ("4", "none")
    assert "batch_size" not in settings
    assert found.versions == (Row("jax", "0.10.2", "0.11"),)
    assert found.data == (
        Row("crc32", "ab", "cd"),
        Row("origin", "collected", "none"),
        Row("path", "x.npz", "none"),
    )


def test_where_the_logs_part(run, tmp_path):
    other = made(
        tmp_path / "other",
        evaluations=EVALUATIONS.replace("0.75,,", "0.75,-3.0,"),
        training=TRAINING.replace("0.25,1.0", "0.25,"),
    )
    assert compare(run, other).logs == (
        "eval.csv parts at step 12,000: return nan, -3.0",
        "train.csv parts at step 9,000: episode_success 1.0, nan",
    )


def test_a_run_under_way_says_less(run, tmp_path):
    lines = TRAINING.splitlines(keepends=True)
    cut = EVALUATIONS.splitlines(keepends=True)[:2]
    other = made(
        tmp_path / "other", evaluations="".join(cut), training="".join(lines[:3]), summary=None
    )
    found = compare(run, other)
    assert found.versions == (Row("all", "recorded", NOT_RECORDED),)
    assert found.results[0] == Row("state", "finished", "not finished")
    assert Row("online, step", "12,000", "-") in found.results
    assert found.logs == (
        "eval.csv is the same as far as both go (6,000); last steps 12,000, 6,000",
        "train.csv is the same as far as both go (9,000); last steps 12,000, 9,000",
    )


def test_damage_is_named(run, tmp_path, capsys):
    other = made(tmp_path / "other", evaluations=EVALUATIONS.replace("0.25", "25"))
    with pytest.raises(UserError, match=r"eval\.csv: line 2 is no evaluation"):
        compare(run, other)
    assert main(["compare", str(run.path), str(other.path)]) == 2
    assert main(["compare", str(run.path), "nowhere"]) == 2
    assert main(["compare", str(run.path), str(run.path)]) == 0
    assert "train.csv is the same" in capsys.readouterr().out
