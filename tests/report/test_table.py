"""Known numbers in run folders become known text in a table."""

import csv
import io
import math
import re

import pytest

from driftpolicy.cli import main
from driftpolicy.errors import UserError
from driftpolicy.report import render
from driftpolicy.report.render import MINUS
from driftpolicy.report.results import read_results
from driftpolicy.report.suite_report import make_report
from driftpolicy.report.table import AVERAGE, format_steps
from driftpolicy.suites.suite import find_suite, join_suites

from .conftest import CUBE, LIFT, to, write_run


@pytest.fixture
def report(suite, runs):
    return make_report(suite, runs)


def test_entries(report):
    online, offline = report.tables
    assert (online.phase, offline.phase) == ("online", "offline")
    cube = online.entries["dfp", CUBE]
    assert (cube.mean, cube.deviation, cube.rank, cube.missing) == (99.0, 1.0, 1, "")
    assert cube.published == (100.0, 0.0)
    assert cube.difference == -1.0
    assert online.entries["qc-fql", CUBE].rank == 2
    # The unfinished seed is not averaged with those that reached the end.
    lift = online.entries["qc-fql", LIFT]
    assert lift.scores == {0: 50.0, 1: 60.0}
    assert (lift.mean, lift.missing, lift.rank) == (55.0, "2 of 3 seeds", 0)
    # Alone in its column among complete cells, dfp is not called the best.
    assert online.entries["dfp", LIFT].rank == 0
    assert offline.entries["qc-fql", LIFT].missing == ""


def test_average(report):
    online = report.tables[0]
    ours = online.entries["dfp", AVERAGE]
    assert ours.mean == (99 + 80) / 2
    assert ours.scores == {0: 84.0, 1: 90.0, 2: 94.5}  # by seed, over the tasks
    assert ours.published == (100.0, None)
    assert online.entries["qc-fql", AVERAGE].missing == "incomplete"


def test_nothing_run_and_only_begun(suite, tmp_path):
    root = tmp_path / "some"
    cells = {(cell.method, cell.task.name, cell.seed): cell for cell in suite.cells}
    write_run(root, cells["dfp", CUBE, 0], to(20)[:4])
    write_run(root, cells["qc-fql", CUBE, 0], to(20), to(60)[:3])
    write_run(root, cells["qc-fql", CUBE, 1], to(20), to(80)[:5])
    online, offline = make_report(suite, root).tables
    assert online.entries["dfp", CUBE].missing == "at 400k steps"
    assert online.entries["dfp", LIFT].missing == "not run"
    assert online.entries["dfp", LIFT].mean is None
    begun = online.entries["qc-fql", CUBE]
    assert (begun.mean, begun.missing) == (29.0, "1.3M of 2M steps, 2 of 3 seeds")
    assert offline.entries["dfp", CUBE].missing == "400k of 1M steps, 1 of 3 seeds"
    assert online.entries["dfp", AVERAGE].missing == "0 of 2 tasks"


def test_cells_outside_of_the_suite_are_empty(tmp_path):
    path = tmp_path / "uneven.toml"
    path.write_text(
        f'[[blocks]]\ntasks = ["{CUBE}"]\nmethods = ["fql", "dfp"]\nseeds = [0]\n'
        f'[[blocks]]\ntasks = ["{LIFT}"]\nmethods = ["dfp"]\nseeds = [0]\n'
    )
    suite = find_suite(path)
    for cell in suite.cells:
        write_run(tmp_path / "runs", cell, to(10), to(50))
    report = make_report(suite, tmp_path / "runs")
    table = report.tables[0]
    assert ("fql", LIFT) not in table.entries
    assert table.entries["fql", AVERAGE].missing == "1 of 2 tasks"
    assert table.entries["dfp", AVERAGE].mean == 50.0
    assert report.aggregates is not None
    assert [task.name for task in report.aggregates.tasks] == [CUBE]
    assert table.entries["fql", CUBE].rank == 0  # equal to all others
    # One seed says nothing about others.
    assert all(math.isnan(row.interval[0]) for row in report.aggregates.rows)
    assert "| fql | 50.0<br>published 93.2" in render.to_markdown(report)


def test_aggregates(report):
    found = report.aggregates
    assert found is not None
    assert (found.phase, found.reference) == ("online", "dfp")
    assert [task.name for task in found.tasks] == [CUBE, LIFT]
    fql, dfp = found.rows
    assert math.isnan(dfp.improvement)
    # 98 beats 90, 94 and ties with 98; 99 and 100 beat all; on lift every seed beats every one.
    assert fql.improvement == pytest.approx((8.5 / 9 + 1) / 2)
    assert fql.improvement_interval[0] <= fql.improvement <= fql.improvement_interval[1]
    assert fql.interquartile_mean == pytest.approx((60 + 90 + 94) / 3)


def test_markdown(report):
    text = render.to_markdown(report)
    assert "| method | cube-double task2 | lift mh | average |" in text
    assert f"| dfp | **99.0 ± 1.0**<br>published 100.0 ± 0.0 ({MINUS}1.0) | 80.0 ± 10.0<br>" in text
    assert f"| qc-fql | <u>94.0 ± 4.0</u><br>published 100.0 ± 0.0 ({MINUS}6.0) |" in text
    assert f"55.0 ± 7.1<br>*2 of 3 seeds*<br>published 100.0 ± 0.0 ({MINUS}45.0)" in text
    assert "qc-fql on lift mh: seed 2 at 1.5M of 2M steps" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows[:4]} == {5}


def test_latex(report):
    text = render.to_latex(report)
    assert r"\textbf{99.0} {\scriptsize $\pm$ 1.0}" in text
    assert r"\underline{94.0}" in text
    assert r"{\scriptsize \textit{(2 of 3 seeds)}}" in text
    assert r"{\scriptsize $-$1.0}" in text
    for table in text.split(r"\begin{tabular}")[1:]:
        body = table.split(r"\end{tabular}")[0]
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(rows) == 2 + 2 * 3  # two lines of headings; ours, published, difference
        assert {row.count(" & ") for row in rows} == {3}
    plain = re.sub(r"\\.", "", text)
    depth = 0
    for letter in plain:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0
    assert plain.count("$") % 2 == 0
    for begin in ("table", "tabular"):
        assert text.count(rf"\begin{{{begin}}}") == text.count(rf"\end{{{begin}}}") == 2
    assert not re.search(r"(?<!\\)[_#]", text.split("% ")[0])


def test_csv_round_trips(report):
    rows = list(csv.DictReader(io.StringIO(render.to_csv(report))))
    assert tuple(rows[0]) == render.CSV_COLUMNS
    for table in report.tables:
        for (label, column), entry in table.entries.items():
            keys = (table.phase, column, label)
            (row,) = [r for r in rows if (r["phase"], r["task"], r["method"]) == keys]
            scores = dict(pair.split("=") for pair in row["scores"].split())
            assert {int(k): float(v) for k, v in scores.items()} == dict(entry.scores)
            assert (float(row["mean"]) if row["mean"] else None) == entry.mean
            assert row["missing"] == entry.missing
            assert row["rank"] == (str(entry.rank) if entry.rank else "")


def test_terminal_and_files(runs, tmp_path, capsys, monkeypatch):
    suite = str(tmp_path / "two.toml")
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["benchmark", "table", suite, "--runs", str(runs)]) == 0
    shown = capsys.readouterr().out
    assert "Success after the online phase (%)" in shown
    assert re.search(r"dfp +99\.0 ± 1\.0 +80\.0 ± 10\.0", shown)
    assert max(map(len, shown.splitlines())) <= 60
    for ending, start in ((".md", "### Two"), (".tex", r"\begin{table}"), (".csv", "phase,")):
        out = tmp_path / f"out{ending}"
        assert main(["benchmark", "table", suite, "--runs", str(runs), "--out", str(out)]) == 0
        assert out.read_text().startswith(start)
    capsys.readouterr()
    for arguments, message in (
        (["--out", "x.html"], "the ending must be .md, .tex, .csv"),
        (["--out", "x", "--format", "terminal"], "--out needs --format"),
        (["--runs", str(tmp_path / "nowhere")], "no folder"),
        (["--runs", str(tmp_path)], "holds no evaluation of the suite two"),
    ):
        folder = [] if "--runs" in arguments else ["--runs", str(runs)]
        assert main(["benchmark", "table", suite, *folder, *arguments]) == 2
        assert message in capsys.readouterr().err


def test_evidence_needs_nothing_but_eval_csv(suite, runs):
    for folder in runs.glob("*/*/seed*"):
        for name in ("config.json", "summary.json"):
            (folder / name).unlink(missing_ok=True)
    assert make_report(suite, runs).tables[0].entries["dfp", CUBE].mean == 99.0


def test_other_settings_and_other_data_are_said(suite, runs):
    cell = next(c for c in suite.cells if (c.method, c.seed, c.task.name) == ("dfp", 1, CUBE))
    folder = cell.folder(runs)
    text = folder.config_file.read_text()
    folder.config_file.write_text(text.replace('"batch_size": 256', '"batch_size": 64'))
    other = runs / CUBE / "dfp/seed0/summary.json"
    other.write_text(other.read_text().replace("published", "collected"))
    unknown = next(c for c in suite.cells if (c.method, c.task.name) != ("dfp", CUBE)).folder(runs)
    unknown.summary.write_text(unknown.summary.read_text().replace("published", "unknown"))
    report = make_report(suite, runs)
    assert report.tables[0].entries["dfp", CUBE].scores == {0: 98.0, 2: 99.0}
    notes = " ".join(report.notes)
    assert f"{cell.name} is left out: " in notes
    assert "has batch_size 64, the suite says 256." in notes
    assert "collected on the machine that trained, not on the published set: cube-double" in notes
    assert "whose file does not say who made them, so perhaps not on the published set: " in notes


def test_a_shorter_protocol_is_said(tmp_path):
    path = tmp_path / "short.toml"
    path.write_text(f'tasks = ["{CUBE}"]\nmethods = ["dfp"]\nseeds = [0, 1]\npreset = "small"\n')
    suite = find_suite(path)
    for cell in suite.cells:
        write_run(tmp_path / "runs", cell, to(10), to(50))
    notes = " ".join(make_report(suite, tmp_path / "runs").notes)
    assert "these have 6k and 6k: their numbers are not to be compared" in notes


def test_a_damaged_summary_is_named(suite, runs):
    path = next(runs.glob("*/dfp/seed0/summary.json"))
    path.write_text("{")
    with pytest.raises(UserError, match=r"summary\.json"):
        read_results(suite, runs)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("eval.csv", b",0.99,", b",0.9g,"),
        ("eval.csv", b",0.99,", b",\xff.99,"),
        ("summary.json", b"{", b""),
        ("summary.json", b'"crc32"', b"crc32"),
        ("summary.json", b"published", b"\xff"),
    ],
)
def test_damage_is_one_line_on_every_command(runs, tmp_path, capsys, name, old, new):
    path = runs / CUBE / "dfp/seed2" / name
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    for action in ("table", "curves", "page"):
        command = ["benchmark", action, str(tmp_path / "two.toml"), "--runs", str(runs)]
        assert main(command) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert str(path) in err


def test_a_part_of_a_suite_is_shown_alone(runs, tmp_path, capsys):
    suite = str(tmp_path / "two.toml")
    command = ["benchmark", "table", suite, "--runs", str(runs), "--format", "markdown", "--only"]
    assert main([*command, "!*/dfp/*"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert any(row.startswith("| qc-fql |") for row in rows)
    assert not any(row.startswith("| dfp |") for row in rows)
    assert main([*command, "lift"]) == 2
    assert "--only lift: no such run" in capsys.readouterr().err


def test_a_damaged_config_is_left_out_and_named(runs, suite):
    path = runs / CUBE / "dfp/seed2/config.json"
    path.write_bytes(path.read_bytes().replace(b"256", b"25\xff", 1))
    report = make_report(suite, runs)
    assert report.tables[0].entries["dfp", CUBE].scores == {0: 98.0, 1: 100.0}
    assert f"is left out: cannot read {path}" in " ".join(report.notes)


def test_several_suites_in_one_table(runs, tmp_path):
    path = tmp_path / "more.toml"
    path.write_text(f'tasks = ["{CUBE}"]\nmethods = ["dfp", "mvp"]\nseeds = [0]\n')
    suite = join_suites([str(tmp_path / "two.toml"), str(path)])
    assert (suite.name, suite.title) == ("two", "Two tasks; more")
    for cell in suite.cells:
        if cell.method == "mvp":
            write_run(runs, cell, to(10), to(50))
    table = make_report(suite, runs).tables[0]
    assert table.labels == ("qc-fql", "dfp", "mvp")
    assert table.entries["dfp", CUBE].scores == {0: 98.0, 1: 100.0, 2: 99.0}
    assert table.entries["dfp", CUBE].seeds == 3
    path.write_text(path.read_text() + 'preset = "small"\n')
    with pytest.raises(UserError, match=r"disagree about cube-double.*/dfp/seed0"):
        join_suites([str(tmp_path / "two.toml"), str(path)])


def test_steps_in_words():
    assert [format_steps(n) for n in (0, 400, 12_000, 1_300_000, 2_000_000)] == [
        *("0", "400", "12k", "1.3M", "2M")
    ]
