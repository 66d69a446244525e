"""The workflows, templates and hooks call what exists, with the versions of ``pyproject.toml``."""

import re
import shlex

import pytest

yaml = pytest.importorskip("yaml", reason="needs PyYAML: uv sync --extra benchmark")

from tests.docs import commands
from tests.docs.pages import CHECKOUT

GITHUB = CHECKOUT / ".github"
PROJECT = commands.PROJECT["project"]
JOBS = yaml.safe_load((GITHUB / "workflows" / "checks.yml").read_text())["jobs"]
CI = (CHECKOUT / ".ci" / "run").read_text()


def steps() -> list[dict]:
    return [step for job in JOBS.values() for step in job["steps"]]


def runs() -> list[str]:
    return [line for step in steps() if "run" in step for line in step["run"].splitlines()]


def minor(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


@pytest.mark.parametrize("path", sorted(GITHUB.rglob("*.yml")), ids=lambda path: path.name)
def test_files_are_yaml(path):
    assert yaml.safe_load(path.read_text())


def test_templates_ask_for_something():
    for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml"):
        template = yaml.safe_load(path.read_text())
        assert {"name", "description", "body"} <= set(template)
        names = [part["id"] for part in template["body"]]
        assert len(names) == len(set(names))
        assert all(part["attributes"]["label"] for part in template["body"])


def test_actions_are_pinned_by_their_major_version():
    for step in steps():
        assert "uses" in step or "run" in step
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"])


def test_commands_exist():
    for line in runs():
        words = shlex.split(line)
        if words[0] in ("sudo", "fresh/bin/dfp") or words[:2] in (["uv", "venv"], ["uv", "pip"]):
            continue
        commands.check(words)


def test_the_extras_are_those_of_the_local_checks():
    local = re.search(r"^uv sync --quiet (.*)$", CI, re.MULTILINE)
    assert local is not None
    synced = {line.removeprefix("uv sync").strip() for line in runs() if line.startswith("uv sync")}
    assert synced == {local[1], ""}  # the job without extras has none


def test_everything_of_the_local_checks_is_in_the_workflow():
    for line in re.findall(r"^uv run (?!dfp).*$", CI, re.MULTILINE):
        assert line in runs()


def test_the_python_versions_are_the_classifiers():
    classified = {
        match[1]
        for each in PROJECT["classifiers"]
        if (match := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", each))
    }
    assert set(JOBS["tests"]["strategy"]["matrix"]["python"]) == classified
    oldest = min(classified, key=minor)
    assert PROJECT["requires-python"] == f">={oldest}"


def test_the_jax_versions_are_the_oldest_and_the_newest():
    versions = {each["label"]: each["jax"] for each in JOBS["jax"]["strategy"]["matrix"]["include"]}
    lower = next(each for each in PROJECT["dependencies"] if each.startswith("jax>="))
    assert minor(versions["oldest"]) == minor(lower.removeprefix("jax>="))
    assert f"jax=${{2:-{versions['newest']}}}" in (CHECKOUT / ".ci" / "newest").read_text()


def test_the_hooks_have_the_version_of_ruff_that_is_installed():
    config = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text())
    revisions = {each["repo"].rpartition("/")[2]: each["rev"] for each in config["repos"]}
    pins = commands.PROJECT["tool"]["uv"]["constraint-dependencies"]
    assert f"ruff=={revisions['ruff-pre-commit'].removeprefix('v')}" in pins
