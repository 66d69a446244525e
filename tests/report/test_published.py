"""The printed numbers under our tasks' names."""

import runpy
from pathlib import Path

import pytest

from driftpolicy.report.published import (
    PublishedScore,
    published_average,
    published_cost,
    published_score,
)
from driftpolicy.suites.suite import find_suite, make_cell
from driftpolicy.tasks.registry import find_task


def test_every_cell_of_the_papers_suites_has_its_number():
    for name, phases in (("paper", 2), ("paper-ablations", 2), ("offline-rl", 1), ("lambda", 1)):
        for cell in find_suite(name).cells:
            found = [published_score(cell, phase) for phase in ("offline", "online")]
            assert sum(one is not None for one in found) == phases, cell.name


def test_some_of_them_by_hand():
    cube = "cube-triple-play-singletask-task4-v0"
    assert published_score(make_cell(cube, "dfp", 0), "online") == PublishedScore(81.2, 5.6)
    assert published_score(make_cell(cube, "dfp", 0), "offline") == PublishedScore(1.0, 0.7)
    quadruple = "cube-quadruple-play-100m-singletask-task3-v0"
    assert published_score(make_cell(quadruple, "mvp", 3), "online") == PublishedScore(47.2, 29.8)
    weighed = make_cell(quadruple, "dfp", 0, variant="lambda=5.0")
    assert published_score(weighed, "online") == PublishedScore(94.2, 4.0)
    assert published_score(weighed, "offline") is None
    alone = make_cell("scene-play-singletask-task2-v0", "dfp", 0, overrides={"phase": "offline-rl"})
    assert published_score(alone, "offline") == PublishedScore(93.0, 4.0)
    assert published_average("dfp@K=4", "online") == PublishedScore(95.6, None)
    assert published_average("dfp@K=3", "online") is None
    assert published_cost()["qc-bfn"] == {"online_step_ms": 16.09, "evaluation_ms": 295.07}


@pytest.mark.parametrize(
    ("task", "words", "name"),
    [
        ("lift-mh-low_dim", ("lift", "mh"), "lift"),
        ("lift-ph-low_dim", ("lift", "ph"), None),
        ("cube-single-noisy-singletask-task1-v0", ("cube-single", "noisy task1"), None),
        ("cube-double-play-singletask-task2-v0", ("cube-double", "task2"), "cube-double-task2"),
    ],
)
def test_names(task, words, name):
    assert find_task(task).heading == words
    assert find_task(task).paper_name == name


def test_the_docs_tables_are_up_to_date():
    path = Path(__file__).parents[2] / "docs" / "reproducing.py"
    page = runpy.run_path(str(path))
    text = page["PAGE"].read_text()
    assert page["renewed"](text) == text
    assert "| dfp | 13.60 | 7.6 | 453 |" in text  # 2M steps of 13.6 ms are 7.6 h; times 60


def test_what_is_not_printed_is_none():
    single = make_cell("cube-single-play-singletask-task1-v0", "dfp", 0)
    assert published_score(single, "online") is None
