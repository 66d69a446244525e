"""One list of exact versions, where uv reads it and where pip does."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def constraints() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def name_of(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


def test_uv_and_pip_read_the_same_list():
    assert constraints() == PROJECT["tool"]["uv"]["constraint-dependencies"]


def test_the_list_has_every_dependency_and_no_address():
    for line in constraints():
        assert re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; [\w<>=!'. ]+)?", line), line
    project = PROJECT["project"]
    asked = [*project["dependencies"], *PROJECT["dependency-groups"]["dev"]]
    for requirements in project["optional-dependencies"].values():
        asked += requirements
    assert {name_of(each) for each in asked} <= {name_of(line) for line in constraints()}
