"""Suites: ours, a user's, and what is refused."""

import re
from pathlib import Path

import pytest

from driftpolicy.errors import UserError
from driftpolicy.suites.suite import Suite, find_suite, make_cell, suite_names
from tests.suites.common import cells

TASK = "cube-single-play-singletask-task1-v0"
DOCS = Path(__file__).parents[2] / "docs" / "benchmark.md"
GOOD = f"""
tasks = ["{TASK}"]
methods = ["dfp"]
seeds = [0, 1]
preset = "small"
"""


def test_the_papers_suites_are_the_papers():
    paper = find_suite("paper")
    assert len(paper.tasks) == 12
    assert paper.methods == ("bfn", "qc-bfn", "fql", "qc-fql", "mvp", "dfp")
    assert len(paper.cells) == 12 * 6 * 5
    config = paper.cells[0].config
    assert (config.offline_steps, config.online_steps, config.warmup_steps) == (10**6, 10**6, 5000)
    assert (config.eval_every, config.eval_episodes) == (100_000, 50)
    assert find_suite("paper-ablations").tasks == paper.tasks == find_suite("k").tasks
    assert find_suite("paper-ablations").methods == ("mvp-topk", "dfp-bc")
    assert {cell.config.agent.positives for cell in find_suite("k").cells} == {1, 2, 4, 8}
    weights = {cell.config.agent.improvement_weight for cell in find_suite("lambda").cells}
    assert weights == {0.1, 0.5, 1.0, 5.0}
    for cell in find_suite("offline-rl").cells:
        assert cell.config.phase == "offline-rl"
        assert cell.config.agent.chunk_length == 1


def test_every_run_of_ours_has_a_folder_of_its_own():
    for name in suite_names():
        suite = find_suite(name)
        folders = [cell.folder(Path("runs")).path for cell in suite.cells]
        assert len(set(folders)) == len(folders) > 0


def test_the_cpu_suite_is_a_list_of_blocks():
    suite = find_suite("cpu")
    families = [cell.task.family for cell in suite.cells]
    assert families == ["cube-single"] * 24 + ["lift"] * 6 + ["can", "square"]
    assert suite.tasks[0].name == TASK
    assert all(cell.config.offline_steps == 6_000 for cell in suite.cells)


def test_a_folder_and_a_config_are_those_of_dfp_train(tmp_path):
    from driftpolicy.config import resolve
    from driftpolicy.runs.folder import RunFolder

    cell = make_cell(TASK, "dfp", 3, preset="small", overrides={"temperatures": [1, 0.5]})
    config = resolve(TASK, "dfp", "small", {"seed": 3, "temperatures": (1.0, 0.5)})
    assert cell.config == config
    assert cell.folder(tmp_path).path == RunFolder.of(config, tmp_path).path
    varied = make_cell(TASK, "dfp", 0, variant="K=2", overrides={"positives": 2})
    assert varied.folder(tmp_path).path == tmp_path / TASK / "dfp@K=2" / "seed0"


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_blocks_add_to_what_is_common(tmp_path):
    text = GOOD + (
        "overrides = { batch_size = 8 }\n"
        "[[blocks]]\n"
        'variant = "slow"\n'
        "overrides = { learning_rate = 1 }\n"
        "[[blocks]]\n"
        "seeds = [7]\n"
    )
    slow, _, other = find_suite(written(tmp_path, text)).cells
    assert (slow.label, slow.seed) == ("dfp@slow", 0)
    assert slow.config.batch_size == other.config.batch_size == 8
    assert slow.config.agent.learning_rate == 1.0
    assert (other.label, other.seed) == ("dfp", 7)
    assert other.config.agent.learning_rate == 6e-4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks = [", "is no TOML file"),
        ('title = "x"', "a block has no tasks"),
        (GOOD + "colour = 1", "unknown key 'colour'; known: title, blocks, tasks, methods, seeds"),
        (GOOD + "title = 1", "title must be a text"),
        (GOOD.replace("task1", "task9"), "unknown task 'cube-single-play-singletask-task9-v0'"),
        (GOOD.replace('"dfp"', '"sac"'), "unknown method 'sac'; known: bfn"),
        (GOOD.replace('"small"', '"huge"'), "unknown preset 'huge'"),
        (GOOD.replace('"small"', "1"), "preset must be a text"),
        (GOOD.replace("[0, 1]", "[0, -1]"), "seed must be from 0 to 4294967295, not -1"),
        (GOOD.replace("[0, 1]", "[0, 0]"), "seeds names something twice"),
        (GOOD.replace("[0, 1]", "5"), "seeds must be a list of whole numbers, not 5"),
        (GOOD.replace("[0, 1]", "[true]"), "seeds must be a list of whole numbers"),
        (GOOD.replace("[0, 1]", "[]"), "seeds must be a list of whole numbers"),
        (GOOD + 'variant = "a/b"', "variant must be letters, digits"),
        (GOOD + "overrides = 3", "overrides must be a table"),
        (GOOD + "overrides = { colour = 1 }", "dfp has no setting colour"),
        (GOOD + "overrides = { seed = 1 }", "overrides cannot set seed"),
        (GOOD + "overrides = { batch_size = 1.5 }", "batch_size must be a whole number, not 1.5"),
        (
            GOOD + "overrides = { actor_hidden = [1.5] }",
            "actor_hidden must be a list, each a",
        ),
        (
            GOOD + 'overrides = { improvement = "x" }',
            "improvement must be one of top-k, soft",
        ),
        (GOOD + "overrides = { discount = 2 }", "discount must be in (0, 1]"),
        (GOOD + "blocks = []", "has no runs"),
        (GOOD + "blocks = 1", "blocks must be tables"),
        (GOOD + "[[blocks]]\n[[blocks]]", "dfp/seed0 is there twice"),
    ],
)
def test_mistakes_are_one_line_that_names_the_file(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        find_suite(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("papre", "unknown suite 'papre'; known: cpu, k, lambda,"),
        ("nowhere/x.toml", "cannot read the suite nowhere/x.toml: No such file"),
    ],
)
def test_an_unknown_suite_is_one_line(name, message):
    with pytest.raises(UserError, match=re.escape(message)):
        find_suite(name)


def test_the_documented_example_is_a_suite(tmp_path):
    (example,) = re.findall(r"```toml\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)
    suite = find_suite(written(tmp_path, example))
    assert [cell.name for cell in suite.cells] == [
        f"{TASK}/{label}/seed{seed}"
        for label in ("dfp@tau=0.05", "dfp@tau=0.2", "qc-fql")
        for seed in (0, 1, 2)
    ]
    assert suite.cells[3].config.agent.temperatures == (0.2,)
    assert suite.cells[0].config.online_steps == 20_000


def test_runs_are_chosen_by_patterns():
    some = tuple(cells(3))
    suite = Suite("three", "Three", some)
    assert suite.only(None) == suite
    assert suite.only(["*/dfp/seed[02]"]).cells == (some[0], some[2])
    assert suite.only(["*seed1", "cube-*seed0"]).cells == (some[0], some[1])
    assert suite.only(["!*seed1"]).cells == (some[0], some[2])
    assert suite.only(["*seed1", "*seed2", "!*seed1"]).cells == (some[2],)
    with pytest.raises(UserError, match="--only lift: no such run; the first is cube-single"):
        suite.only(["lift"])
    with pytest.raises(UserError, match="--only !lift: no such run"):
        suite.only(["!lift"])
    with pytest.raises(UserError, match=r"--only \*seed1 !\*seed1: leaves no run"):
        suite.only(["*seed1", "!*seed1"])
