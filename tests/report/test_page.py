"""The page in a real browser: from disk, without a network, by mouse, keyboard and rule book."""

import json
import re
from pathlib import Path

import pytest

from driftpolicy.cli import main
from driftpolicy.errors import UserError
from driftpolicy.report.command import command_of
from driftpolicy.report.page import read_cost
from driftpolicy.report.provenance import data_records
from driftpolicy.report.results import read_results
from driftpolicy.suites.suite import find_suite, make_cell
from driftpolicy.versions import versions
from tests.chromium import launched, needs_chromium
from tests.films import write_film
from tests.waiting import PATIENCE

from .conftest import CUBE, LIFT, SUITE, to, write_run


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """A page with films, costs, an unfinished cell, one that was not run, and two kinds of data."""
    pytest.importorskip("jinja2", reason="needs Jinja: uv sync --extra benchmark")
    folder = tmp_path_factory.mktemp("page")
    path = folder / "two.toml"
    path.write_text(SUITE)
    for cell in find_suite(path).cells:
        if (cell.method, cell.task.name) == ("qc-fql", LIFT):
            continue
        online = to(60 + 10 * cell.seed + 15 * (cell.method == "dfp"), 30)
        online = online[:5] if (cell.method, cell.seed) == ("qc-fql", 2) else online
        origin = {
            "origin": "collected" if cell.task.name == LIFT else "published",
            "crc32": "0badcafe",
        }
        data = {**origin, "path": "/somewhere/file", "collected_by": "scripts <of ours>"}
        run = write_run(folder / "runs", cell, to(30), online, summary={"data": data})
        if cell.seed == 0:
            write_film(run / "rollout.mp4", (200, 100, 30), frames=40)
    cost = folder / "cost.csv"
    cost.write_text("method,update_ms\nqc-fql,71\ndfp,280\n")
    command = ["benchmark", "page", str(path), "--runs", str(folder / "runs")]
    assert main([*command, "--cost", str(cost), "--out", str(folder / "out")]) == 0
    return folder / "out" / "index.html"


def test_the_folder_is_all_there_is(page):
    """Whatever the page names lies beside it; nothing comes from elsewhere."""
    text = page.read_text()
    named = set(re.findall(r'(?:src|href|poster)="([^"#]+)"', text))
    files = {name for name in named if not name.startswith("data:")}
    assert "table.tex" in files
    assert len([name for name in files if name.endswith(".mp4")]) == 3 + 1
    for name in files:
        assert (page.parent / name).stat().st_size > 0, name
    assert not re.search(r"https?://(?!www\.w3\.org/)", text)
    assert "/somewhere" not in text
    assert "scripts &lt;of ours&gt;" in text


def test_what_it_says(page):
    text = page.read_text()
    assert "not run" in text
    assert "8 of 12" in text
    assert '<span class="origin collected">collected</span>' in text
    assert f"dfp benchmark run {page.parent.parent / 'two.toml'}" in text
    assert f"dfp train {LIFT} --method dfp --seed 2" in text
    assert f"jax {versions()['jax']}" in text
    assert 'data-value="280"' in text


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture
def opened(browser, page, request):
    """The page, opened from disk without a network; ends with no error and no request elsewhere."""
    options = getattr(request, "param", {"viewport": {"width": 1280, "height": 900}})
    context = browser.new_context(offline=True, **options)
    context.set_default_timeout(1000 * PATIENCE)
    tab = context.new_page()
    troubles, requests = [], []
    tab.on("console", lambda message: troubles.append(message.text))
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(page.as_uri())
    yield tab
    context.close()
    assert troubles == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


@needs_chromium
@pytest.mark.slow
@pytest.mark.browser
def test_sorting(opened):
    table = opened.locator("#results table").first

    def order() -> list[str]:
        return [text.strip() for text in table.locator("tbody th").all_inner_texts()]

    head = table.locator("th", has_text="cube-double")
    assert order() == ["qc-fql", "dfp"]
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert order() == ["dfp", "qc-fql"]
    head.get_by_role("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert order() == ["qc-fql", "dfp"]
    table.locator("thead button").first.click()
    assert head.get_attribute("aria-sort") == "none"
    assert order() == ["qc-fql", "dfp"]
    opened.get_by_label("Published numbers").uncheck()
    assert not table.locator(".published").first.is_visible()


@needs_chromium
@pytest.mark.slow
@pytest.mark.browser
def test_picking_and_values(opened):
    panel = opened.locator(".panel").first
    lines = panel.locator("g[data-method]")
    assert lines.count() == 2
    drawing = panel.locator("svg")
    last = {"x": drawing.bounding_box()["width"] * 310 / 320, "y": 50}
    drawing.hover(position=last)  # when the page has come to rest: it scrolls smoothly
    tip = panel.locator(".tip")
    assert tip.locator("caption").inner_text() == "step 2,000,000, online"
    # dfp ends at 75, 85, 95; of qc-fql the seeds 0 and 1 at 60 and 70.
    assert tip.locator("tr").all_inner_texts()[0].split() == ["dfp", "85.0", "60", "to", "100"]
    assert tip.locator("tr").all_inner_texts()[1].split()[:2] == ["qc-fql", "65.0"]
    opened.locator(".picker").get_by_label("dfp").uncheck()
    assert not panel.locator('g[data-method="dfp"]').is_visible()
    assert panel.locator('g[data-method="qc-fql"]').is_visible()
    assert not opened.locator('#rollouts figure[data-method="dfp"]').first.is_visible()
    panel.focus()
    panel.press("Home")
    assert tip.locator("tr").all_inner_texts()[0].split() == ["qc-fql", "3.0", "3", "to", "3"]
    panel.press("ArrowRight")
    assert tip.locator("caption").inner_text() == "step 200,000, offline"
    spoken = opened.locator("#spoken").inner_text()
    assert spoken == "cube-double task2, step 200,000: qc-fql 6.0"
    panel.press("Escape")
    assert not tip.is_visible()


@needs_chromium
@pytest.mark.slow
@pytest.mark.browser
def test_films_play(opened):
    opened.emulate_media(reduced_motion="reduce")
    opened.reload()  # with reduced motion nothing plays by itself
    gallery = opened.locator(".gallery").first
    gallery.scroll_into_view_if_needed()
    films = gallery.locator("video")
    assert films.count() == 2
    assert films.evaluate_all("films => films.every((film) => film.paused)")
    gallery.get_by_role("button").click()
    opened.wait_for_function(
        "() => [...document.querySelector('.gallery').querySelectorAll('video')]"
        ".every((film) => film.currentTime > 0.2 && film.videoWidth === 64)"
    )
    assert gallery.get_by_role("button").inner_text() == "Pause all"
    gallery.get_by_role("button").click()
    assert films.evaluate_all("films => films.every((film) => film.paused)")
    opened.emulate_media(reduced_motion="no-preference")
    opened.reload()
    gallery.scroll_into_view_if_needed()  # coming into view is enough
    opened.wait_for_function("() => !document.querySelector('.gallery video').paused")


@needs_chromium
@pytest.mark.parametrize(
    "opened",
    [
        {"viewport": {"width": 1280, "height": 900}},
        {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
        {"viewport": {"width": 390, "height": 844}, "has_touch": True},
    ],
    indirect=True,
    ids=["desktop", "dark", "phone"],
)
@pytest.mark.slow
@pytest.mark.browser
def test_accessible_and_no_wider_than_the_screen(opened):
    from axe_playwright_python.sync_playwright import Axe

    opened.locator("summary").click()
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = Axe().run(opened).response
    assert len(found["passes"]) > 20
    broken = {rule["id"]: [node["html"] for node in rule["nodes"]] for rule in found["violations"]}
    assert broken == {}, json.dumps(broken, indent=2)


def test_commands_make_the_same_run(tmp_path):
    cell = make_cell(
        CUBE,
        "dfp",
        3,
        variant="wide",
        preset="small",
        overrides={"actor_hidden": [64, 64], "overlap": False},
    )
    assert command_of(cell) == (
        f"dfp train {CUBE} --method dfp --seed 3 --preset small --actor-hidden 64 64 --no-overlap"
    )
    assert command_of(cell, Path("my runs")).endswith(f"--run 'my runs/{CUBE}/dfp@wide/seed3'")


def test_data_records(suite, runs):
    records = data_records(read_results(suite, runs))
    assert [(r.dataset, r.origin, r.runs) for r in records] == [
        ("cube-double-play-v0", "published", 6),
        ("lift-mh-low_dim", "published", 5),
        ("lift-mh-low_dim", "not recorded", 1),
    ]


def test_costs_that_are_none(tmp_path):
    with pytest.raises(UserError, match="cannot read the costs"):
        read_cost(tmp_path / "none.csv")
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="no column method"):
        read_cost(path)
    for row in ("dfp,2O", "dfp,20,3", "dfp"):
        path.write_text(f"method,update_ms\nfql,\n{row}\n")
        with pytest.raises(UserError, match=r"other\.csv: line 3 is no method"):
            read_cost(path)
