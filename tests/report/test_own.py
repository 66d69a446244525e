"""A suite of environments of somebody's own, whose names look like those of files."""

import csv
import io
import re

import pytest
from rich.console import Console

from driftpolicy.cli import main
from driftpolicy.report import render, terminal
from driftpolicy.report.curves import make_figure, make_panels
from driftpolicy.report.published import published_score
from driftpolicy.report.results import read_results
from driftpolicy.report.style import styles
from driftpolicy.report.suite_report import make_report
from driftpolicy.runs.folder import RunFolder
from driftpolicy.suites.display import jobs_table
from driftpolicy.suites.driver import Driver
from driftpolicy.suites.suite import Suite, find_suite, make_cell
from driftpolicy.tasks.registry import all_tasks, find_task
from tests.films import write_film
from tests.suites.common import Reports

from .conftest import LIFT, to, write_run

FAR = "gymnasium:/home/somebody/robots-play/a_left_arm_with_seven_joints.py:make_with_camera"
WORDS = {
    "gymnasium:robot:make": ("robot", "make"),
    "gymnasium:my_robot.py:make": ("my_robot.py", "make"),
    "gymnasium:/abs/arm/env.py:make": ("arm/env.py", "make"),
    "gymnasium:/abs/hand/env.py:make": ("hand/env.py", "make"),
    "gymnasium:/env.py:make": ("env.py", "make"),
    "gymnasium:Pendulum-v1": ("Pendulum-v1", ""),
    "gymnasium:Reacher-v5": ("Reacher-v5", ""),
    "gymnasium:my.robot_sim:Reach-v0": ("my.robot_sim", "Reach-v0"),
    FAR: ("robots-play/a_left_arm_with_seven_joints.py", "make_with_camera"),
}
TASK_NAMES = (LIFT, *WORDS)


@pytest.fixture
def suite(tmp_path) -> Suite:
    path = tmp_path / "own.toml"
    path.write_text(f'tasks = {list(TASK_NAMES)}\nmethods = ["dfp", "fql"]\nseeds = [0]\n')
    return find_suite(path)


@pytest.fixture
def runs(tmp_path, suite):
    data = {"origin": "plain npz", "crc32": "0badcafe"}
    for cell in suite.cells:
        write_run(tmp_path / "runs", cell, to(30), to(60), summary={"data": data})
    return tmp_path / "runs"


@pytest.mark.parametrize("task", list(WORDS))
def test_names(task):
    assert find_task(task).heading == WORDS[task]
    assert find_task(task).title == " ".join(WORDS[task]).strip()
    assert find_task(task).paper_name is None
    assert published_score(make_cell(task, "dfp", 0), "online") is None


def test_every_task_has_a_title_of_its_own():
    assert len({task.title for task in all_tasks().values()}) == len(all_tasks())


def test_runs_are_where_a_training_puts_them(suite, tmp_path):
    """One folder under the suite's, whatever the environment's path."""
    for cell in suite.cells:
        assert cell.folder(tmp_path).path == RunFolder.of(cell.config, tmp_path).path
        assert len(cell.folder(tmp_path).path.relative_to(tmp_path).parts) == 3


def test_tables_in_every_format_in_the_suites_order(suite, runs):
    report = make_report(suite, runs)
    titles = [find_task(task).title for task in TASK_NAMES]
    head = next(line for line in render.to_markdown(report).splitlines() if "method" in line)
    assert head == "| " + " | ".join(["method", *titles, "average"]) + " |"
    firsts, seconds = (
        re.findall(r"^(?:method)? & (.*) \\\\$", render.to_latex(report), re.M)[i].split(" & ")
        for i in (0, 1)
    )
    assert firsts[1:3] == ["robot", r"my\_robot.py"]
    assert seconds[5:8] == ["make", "", ""]
    rows = csv.DictReader(io.StringIO(render.to_csv(report)))
    assert tuple(dict.fromkeys(row["task"] for row in rows)) == (*TASK_NAMES, "average")
    console = Console(width=80, record=True, file=io.StringIO())
    terminal.show(report, console)
    shown = console.export_text()
    for words in WORDS.values():
        assert all(word in shown for word in words)
    assert "not on the published set: lift mh." in " ".join(shown.split())  # of no other


def test_curves(suite, runs):
    from matplotlib import pyplot as plt

    panels = make_panels(make_report(suite, runs))
    assert tuple(panel.task.name for panel in panels) == TASK_NAMES
    figure = make_figure(panels, styles(("dfp", "fql")))
    figure.canvas.draw()
    axes = [axis for axis in figure.axes if axis.get_visible()]
    titles = [axis.get_title() for axis in axes]
    assert titles[:4] == ["lift mh", "robot make", "my_robot.py make", "arm/env.py make"]
    assert titles[6] == "Pendulum-v1"
    assert titles[-1].endswith("_seven_joints.py\nmake_with_camera")
    assert titles[-1].startswith("\N{HORIZONTAL ELLIPSIS}")
    edges = figure.get_window_extent().padded(1)
    boxes = [axis.title.get_window_extent() for axis in axes]
    assert all(edges.x0 <= box.x0 and box.x1 <= edges.x1 for box in boxes)
    assert not any(a.overlaps(b) for a in boxes for b in boxes if a is not b)
    plt.close(figure)


def test_live_table(suite, runs):
    driver = Driver(suite.cells, runs, Reports())
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(jobs_table(driver, 100, wide=True))
    shown = console.export_text()
    assert all(find_task(task).title.replace(" ", "-") in shown for task in TASK_NAMES)


@pytest.mark.slow
def test_page(suite, runs, tmp_path, capsys):
    """Its films are in folders that an address can name."""
    pytest.importorskip("jinja2", reason="needs Jinja: uv sync --extra benchmark")
    for result in read_results(suite, runs):
        if result.cell.task.name in (FAR, "gymnasium:Pendulum-v1"):
            write_film(result.run.path / "rollout.mp4", (200, 100, 30))
    command = ["benchmark", "page", str(tmp_path / "own.toml"), "--runs", str(runs)]
    assert main([*command, "--out", str(tmp_path / "page")]) == 0
    text = (tmp_path / "page" / "index.html").read_text()
    for first, second in WORDS.values():
        assert f">{first}{f' <span>{second}</span>' if second else ''}</button>" in text
    films = re.findall(r'<video src="([^"]+)"', text)
    assert len(films) == 4
    for film in films:
        assert re.fullmatch(r"[\w./=-]+", film)
        assert (tmp_path / "page" / film).stat().st_size > 0
    assert "<h3>Pendulum-v1</h3>" in text
