"""Every file and function that a page names as ``file.py::function`` exists."""

import ast
import re

import pytest

from tests.docs.pages import CHECKOUT, PAGES, prose

PACKAGE = CHECKOUT / "src" / "driftpolicy"
ARCHITECTURE = CHECKOUT / "docs" / "architecture.md"
PLACE = re.compile(r"`([\w/]+\.py)::([\w.]+)`")
STEP = re.compile(r"^\d+\. (.*)$", re.MULTILINE)


def places(text: str) -> list[tuple[str, str]]:
    return [(match[1], match[2]) for match in PLACE.finditer(text)]


def defined(file: str, name: str) -> bool:
    """Return whether a file of the package defines a dotted name."""
    path = PACKAGE / file
    if not path.is_file():
        return False
    body = ast.parse(path.read_text()).body
    *classes, last = name.split(".")
    for part in classes:
        matching = [node for node in body if isinstance(node, ast.ClassDef) and node.name == part]
        if not matching:
            return False
        body = matching[0].body
    names = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {each.id for each in node.targets if isinstance(each, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return last in names


def walks() -> dict[str, str]:
    """Return the text below each heading of the section with the walks."""
    _, _, section = ARCHITECTURE.read_text().partition("\n## Three walks\n")
    heads = re.split(r"^### (.*)$", section, flags=re.MULTILINE)[1:]
    return dict(zip(heads[::2], heads[1::2], strict=True))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page):
    missing = [f"{file}::{name}" for file, name in places(prose(page)) if not defined(file, name)]
    assert missing == []


def test_there_are_three_walks_whose_every_step_names_a_function():
    assert [head.split(":")[0] for head in walks()] == ["A batch", "A step online", "A run"]
    for head, text in walks().items():
        steps = STEP.findall(text)
        assert len(steps) >= 6, head
        for step in steps:
            assert PLACE.match(step), f"{head}: {step}"


def test_every_room_of_the_source_is_in_the_table():
    _, _, section = ARCHITECTURE.read_text().partition("\n## The rooms\n")
    named = set(re.findall(r"`(\w+)(?:/|\.py)`", section.partition("\n## ")[0]))
    rooms = {
        path.name.removesuffix(".py")
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert rooms - {"__init__"} <= named


def test_a_name_that_is_gone_is_noticed():
    assert defined("drifting.py", "drift_loss")
    assert defined("batch.py", "Batch.observation")
    assert not defined("drifting.py", "drift_losses")
    assert not defined("batch.py", "Bunch.observation")
    assert not defined("nowhere.py", "drift_loss")
