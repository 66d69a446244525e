"""The workflows, templates and hooks call what exists, with the versions of ``pyproject.toml``."""

import re
import shlex
from importlib import metadata

import pytest

yaml = pytest.importorskip("yaml", reason="needs PyYAML: uv sync --extra benchmark")

from tests.docs import commands
from tests.docs.pages import CHECKOUT

GITHUB = CHECKOUT / ".github"
PROJECT = commands.PROJECT["project"]
JOBS = yaml.safe_load((GITHUB / "workflows" / "checks.yml").read_text())["jobs"]
RELEASE = yaml.safe_load((GITHUB / "workflows" / "release.yml").read_text())["jobs"]
CI = (CHECKOUT / ".ci" / "run").read_text()


def steps() -> list[dict]:
    return [step for job in JOBS.values() for step in job["steps"]]


def runs() -> list[str]:
    return [line for step in steps() if "run" in step for line in step["run"].splitlines()]


def packages(text: str) -> set[str]:
    """Return what a script or a workflow installs with apt-get."""
    installs = re.findall(r"apt-get install -qq -y ((?:[a-z][\w.-]* ?)+)", text)
    return {name for each in installs for name in each.split()}


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
    for step in [*steps(), *(step for job in RELEASE.values() for step in job["steps"])]:
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
    """Where each tier of the tests is a job of its own."""
    both = 'uv run pytest -m "slow or not slow"'
    local = re.findall(r"^uv run (?!.*dfp).*$", CI, re.MULTILINE)
    assert both in local
    for line in local:
        tiers = {"uv run pytest", "uv run pytest -m slow"} if line == both else {line}
        assert tiers <= set(runs())


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


def test_a_release_is_published_after_every_check_and_without_a_stored_secret():
    publish = RELEASE["publish"]
    assert set(publish["needs"]) == set(RELEASE) - {"publish"}
    assert publish["permissions"] == {"id-token": "write"}
    assert "secrets." not in (GITHUB / "workflows" / "release.yml").read_text()
    matrix = RELEASE["pip"]["strategy"]["matrix"]["python"]
    assert set(matrix) < set(JOBS["tests"]["strategy"]["matrix"]["python"])


def test_what_pip_is_given_for_robosuite_is_what_robosuite_needs():
    try:
        asked = {
            re.split(r"[^\w-]", each)[0].lower() for each in metadata.requires("robosuite") or ()
        }
    except metadata.PackageNotFoundError:
        pytest.skip("robosuite is not installed here")
    needless = {"mink", "pynput", "qpsolvers", "pytest"}  # solvers, keyboards and its own tests
    extra = {
        re.split(r"[^\w-]", each)[0]
        for each in PROJECT["optional-dependencies"]["robomimic-pip"] + PROJECT["dependencies"]
    }
    assert asked - needless <= extra


def test_the_images_are_built_from_what_the_checks_use():
    """No container can be built in a test, so the file is held against what is tested."""
    docker = (CHECKOUT / "Dockerfile").read_text()
    image = re.search(r"^FROM python:(3\.\d+)-slim-bookworm AS system$", docker, re.MULTILINE)
    assert image is not None
    assert PROJECT["requires-python"] == f">={image[1]}"
    opengl = {"libegl1", "libgl1-mesa-dri", "libosmesa6"}
    assert packages(docker) == opengl
    assert packages(CI) == opengl | {"chromium"}
    assert opengl <= set(re.findall(r"`([\w-]+)`", (CHECKOUT / "docs" / "install.md").read_text()))
    local = re.search(r"^uv sync --quiet (.*) --extra docs$", CI, re.MULTILINE)
    assert local is not None
    synced = re.findall(r"^RUN uv sync --no-dev (.*)$", docker, re.MULTILINE)
    assert synced == [local[1], f"{local[1]} --extra cuda"]
    copied = [
        name for each in re.findall(r"^COPY (.*)$", docker, re.MULTILINE) for name in each.split()
    ]
    assert {"constraints.txt", "pyproject.toml"} <= set(copied)
    ignored = (CHECKOUT / ".dockerignore").read_text().splitlines()
    for name in set(copied) - {"./"}:
        assert (CHECKOUT / name).exists()
        assert f"!{name}" in ignored


def test_every_extra_is_explained():
    page = (CHECKOUT / "docs" / "install.md").read_text()
    for name in PROJECT["optional-dependencies"]:
        assert f"`{name}`" in page, name


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
