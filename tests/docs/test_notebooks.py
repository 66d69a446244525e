"""The pages of the notebooks are those of the programs beside them; their blocks run as all do."""

import importlib.util

import pytest

from tests.docs.pages import CHECKOUT

FOLDER = CHECKOUT / "docs" / "notebooks"
_spec = importlib.util.spec_from_file_location("render", FOLDER / "render.py")
assert _spec is not None
assert _spec.loader is not None
render = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(render)
NOTEBOOKS = render.notebooks()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_page_is_the_notebook_with_what_it_printed(path):
    page, at = path.with_suffix(".md").read_text(), 0
    for is_code, text in render.cells(path):
        part = f"```python\n{text}\n```" if is_code else text
        at = page.find(part, at)
        assert at >= 0, f"run docs/notebooks/render.py {path.stem}: its page has no\n{part}"
        at += len(part)


def test_every_notebook_has_figures_and_is_listed():
    listed = (FOLDER / "README.md").read_text()
    for path in NOTEBOOKS:
        figures = sorted(each.name for each in FOLDER.glob(f"{path.stem}-*.png"))
        page = path.with_suffix(".md").read_text()
        assert figures
        assert all(f"]({name})" in page for name in figures)
        assert f"({path.stem}.md)" in listed
        assert f"`docs/notebooks/{path.name}`" in listed
