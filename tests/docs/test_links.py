"""Links between pages lead to files and headings that exist."""

import re

import pytest

from tests.docs.pages import CHECKOUT, PAGES, prose

LINK = re.compile(r"\]\((?!https?://|mailto:)([^)#]*)(?:#([^)]*))?\)")


def anchors(text: str) -> set[str]:
    """Return the anchors that a page's headings have on the web."""
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for name, anchor in LINK.findall(prose(page)):
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), name
        assert target.is_relative_to(CHECKOUT), name
        if anchor:
            assert anchor in anchors(target.read_text()), f"{name}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page):
    """Paths in code spans that begin with a folder of the checkout."""
    folders = "src|tests|docs|examples|benchmarks|results|\\.ci|\\.github"
    for path in re.findall(rf"`(?:python |bash )?((?:{folders})/[\w./-]+)`", prose(page)):
        assert (CHECKOUT / path).exists(), path


def test_every_page_can_be_reached_from_the_readme():
    reached, waiting = set(), [CHECKOUT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or not page.is_file() or page.suffix != ".md":
            continue
        reached.add(page)
        waiting += [(page.parent / name).resolve() for name, _ in LINK.findall(page.read_text())]
    assert set(PAGES) <= reached
