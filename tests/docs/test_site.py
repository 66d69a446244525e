"""The site: every page is in its menu, every flag in its reference, and it needs no network."""

import dataclasses
import importlib
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

pytest.importorskip("mkdocs", reason="needs the site's packages: uv sync --extra docs")

from mkdocs.commands.build import build
from mkdocs.config import load_config

from driftpolicy.agents import METHODS, find_method
from driftpolicy.cli import COMMANDS
from driftpolicy.config import TrainConfig
from driftpolicy.flags import flag
from driftpolicy.runs.run import Summary
from driftpolicy.runs.tables import EVAL_COLUMNS
from tests.chromium import launched, needs_chromium
from tests.docs.pages import CHECKOUT
from tests.waiting import PATIENCE

DOCS = CHECKOUT / "docs"


@pytest.fixture(scope="module")
def made():
    """Return the modules of the site."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS / "site"))
        names = ("repository", "reference")
        yield [importlib.import_module(name) for name in names]
        for name in names:
            sys.modules.pop(name)


def entries(nav: object) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    below = nav.values() if isinstance(nav, dict) else nav
    return [entry for each in below for entry in entries(each)]  # pyright: ignore


def test_every_page_is_in_the_menu():
    listed = entries(load_config(str(CHECKOUT / "mkdocs.yml")).nav)
    folders = tuple(entry for entry in listed if entry.endswith("/"))
    for page in DOCS.rglob("*.md"):
        name = page.relative_to(DOCS).as_posix()
        assert name in listed or name.startswith(folders), name


def test_every_flag_is_in_the_reference(made):
    pages = dict(made[1].pages())
    assert {f"reference/commands/{name}.md" for name in COMMANDS} <= set(pages)
    train = pages["reference/commands/train.md"]
    names = {field.name for field in dataclasses.fields(TrainConfig)} - {"agent"}
    for method in METHODS:
        assert f"`{method}`" in train
        names |= {field.name for field in dataclasses.fields(find_method(method).config)}
    for name in names - {"task"}:
        assert f"`{flag(name)}" in train, name
    for line in ("`--batch-size INT` | Windows per gradient step. | 256", "`--no-overlap`"):
        assert line in train
    assert "## dfp data collect" in pages["reference/commands/data.md"]


def test_every_module_is_in_the_reference(made):
    text = "\n".join(page for _, page in made[1].pages())
    for name in ("driftpolicy.api", "driftpolicy.agents.dfp", "driftpolicy.tasks.custom.formats"):
        assert f"::: {name}\n" in text


def test_the_columns_of_the_files_are_described():
    text = (DOCS / "formats.md").read_text()
    for name in (*EVAL_COLUMNS, *(field.name for field in dataclasses.fields(Summary))):
        assert f"`{name}`" in text, name


@pytest.mark.parametrize(
    ("link", "there"),
    [
        ("../results/short/README.md", "results/short/README.md"),
        ("../src/driftpolicy/agents/dfp.py", "reference/python/agents.md#driftpolicy.agents.dfp"),
        ("../src/driftpolicy/suites", "source/src/driftpolicy/suites/index.md"),
        ("../examples/field.py", "source/examples/field.py.md"),
        ("../README.md#install", "index.md#install"),
        ("methods/dfp.md#the-critic", "methods/dfp.md#the-critic"),
        ("../results/cost.csv", "results/cost.csv"),
        ("https://arxiv.org/abs/2605.07727", "https://arxiv.org/abs/2605.07727"),
        ("#here", "#here"),
    ],
)
def test_links_of_the_repository_lead_to_pages_of_the_site(made, link, there):
    page = f"[a]({link})\n```bash\n[a]({link})\n```\n"
    expected = f"[a]({there})\n```bash\n[a]({link})\n```\n"
    assert made[0].rewrite(page, DOCS / "robot.md", "robot.md") == expected


class Page(HTMLParser):
    """The ids of a page, what it links to, and what it fetches."""

    def __init__(self, path: Path):
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in ("script", "img", "iframe", "source", "link"):
            self.fetched += [given[name] for name in ("src", "href") if name in given]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Build strictly: MkDocs refuses a page outside of the menu, a dead link, a dead reference."""
    folder = tmp_path_factory.mktemp("site")
    config = load_config(str(CHECKOUT / "mkdocs.yml"), site_dir=str(folder), strict=True)
    config.plugins.run_event("startup", command="build", dirty=False)
    build(config)
    config.plugins.run_event("shutdown")
    return folder


@pytest.mark.slow
def test_the_site_has_no_dead_link_and_fetches_nothing_from_elsewhere(site):
    pages = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 40
    for path, page in pages.items():
        assert not [each for each in page.fetched if re.match(r"(https?:)?//", each)]
        for link in page.links:
            name, _, anchor = unquote(link).partition("#")
            if re.match(r"\w+:", name):
                continue
            target = (path.parent / name).resolve() if name else path
            assert target.exists(), f"{path}: {link}"
            if anchor and target in pages:
                assert anchor in pages[target].ids, f"{path}: {link}"
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(\W*https?:|@import", style.read_text()), style


@pytest.mark.slow
@pytest.mark.browser
@needs_chromium
def test_it_can_be_read_and_searched_from_disk_on_a_phone_and_on_a_desk(site):
    names = ("index", "tutorial", "formats", "notebooks/field", "reference/commands/train")
    troubles, requests = [], []
    with launched() as browser:
        for width in (390, 1280):
            context = browser.new_context(offline=True, viewport={"width": width, "height": 900})
            context.set_default_timeout(1000 * PATIENCE)
            tab = context.new_page()
            tab.on("pageerror", lambda error: troubles.append(str(error)))
            tab.on("request", lambda request: requests.append(request.url))
            for name in names:
                tab.goto((site / f"{name}.html").as_uri())
                wide = tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                assert wide <= 0, name
        tab.click(".md-search__input")
        tab.keyboard.type("anchor", delay=30)
        tab.wait_for_selector(".md-search-result__item")
    assert troubles == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
