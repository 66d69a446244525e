"""The web page of a suite: one folder that needs neither a network nor a server."""

import csv
import dataclasses
import json
import math
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from driftpolicy.data.files import write_atomically
from driftpolicy.errors import UserError
from driftpolicy.progress import format_seconds
from driftpolicy.report import render
from driftpolicy.report.command import command_of
from driftpolicy.report.curves import FORMATS, Panel, draw, make_panels
from driftpolicy.report.provenance import data_records
from driftpolicy.report.published import published_cost
from driftpolicy.report.results import Result
from driftpolicy.report.rollouts import Rollout, choose_rollouts, first_frame, grid_video
from driftpolicy.report.style import Style, styles
from driftpolicy.report.suite_report import SuiteReport, make_report
from driftpolicy.report.table import AVERAGE
from driftpolicy.suites.suite import Suite
from driftpolicy.versions import versions

TEMPLATES = Path(__file__).parent / "templates"
_DOWNLOADS = {"table.csv": "csv", "table.md": "markdown", "table.tex": "latex"}


@dataclasses.dataclass(frozen=True)
class Clip:
    """A film on the page."""

    label: str
    seed: int
    source: str
    """Relative to the page."""
    poster: str
    """Its first frame."""


@dataclasses.dataclass(frozen=True)
class Gallery:
    """The films of a task."""

    title: str
    clips: list[Clip]
    grid: str
    """All in one film, relative to the page; empty where there is one clip."""


def write_page(
    suite: Suite, root: Path, out: Path, *, arguments: Sequence[str], cost: Path | None = None
) -> Path:
    """Write the page of the runs under ``root`` into the folder ``out``; return the HTML file.

    Args:
        suite: which runs.
        root: the folder of the suite's runs.
        out: the page's folder; what is there of an earlier page is replaced.
        arguments: what names the suites on the command line.
        cost: a CSV file of costs, ``method`` its first column and numbers the others.

    Raises:
        UserError: if there are no results, or something cannot be read or written.
    """
    jinja2 = _require_jinja2()
    report = make_report(suite, root)
    panels = make_panels(report)
    looks = styles(suite.labels)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html").render(
        report=report,
        data=data_records(report.results),
        facts=facts(report),
        curves=curves_json(panels, looks),
        times=training_times(report.results),
        galleries=_copy_rollouts(report, out),
        costs=read_cost(cost) if cost else [],
        published_cost=published_cost(),
        commands=[(result, command_of(result.cell, root)) for result in report.results],
        looks=looks,
        render=render,
        AVERAGE=AVERAGE,
        isnan=math.isnan,
        arguments=arguments,
        root=root,
        versions=versions(),
        downloads=[*_DOWNLOADS, *(f"curves.{name}" for name in FORMATS)],
    )
    draw(panels, looks, [out / f"curves.{name}" for name in FORMATS])
    texts = {name: render.FORMATS[kind](report) for name, kind in _DOWNLOADS.items()}
    for name, text in {**texts, "index.html": page}.items():
        write_atomically(out / name, lambda file, t=text: file.write(t.encode()), what="file")
    return out / "index.html"


def facts(report: SuiteReport) -> list[tuple[str, str]]:
    """Return what stands at the top: names and values."""
    done = sum(result.finished for result in report.results)
    rows = [
        ("runs finished", f"{done} of {len(report.results)}"),
        ("tasks", str(len(report.suite.tasks))),
        ("methods", str(len(report.suite.labels))),
        ("seeds", str(len(report.suite.seeds))),
    ]
    table = report.tables[0]
    column = table.columns[-1]
    for label in table.labels:
        entry = table.entries.get((label, column))
        if entry and entry.rank == 1 and entry.mean is not None:
            name = "best average" if column == AVERAGE else "best"
            rows.append((name, f"{label}, {entry.mean:.1f}%"))
    return rows


def curves_json(panels: Sequence[Panel], looks: Mapping[str, Style]) -> str:
    """Return the curves as JSON for the page's script; NaN is null, no text can end a script."""
    data = {
        "styles": {
            label: {"colour": look.colour, "dashes": look.dashes, "marker": look.marker}
            for label, look in looks.items()
        },
        "panels": [
            {
                "title": panel.task.title,
                "offline": panel.offline_steps,
                "total": panel.total_steps,
                "curves": [
                    {
                        "label": curve.label,
                        "steps": curve.steps,
                        "mean": [round(v, 2) for v in curve.mean],
                        "low": [None if math.isnan(v) else round(v, 2) for v in curve.low],
                        "high": [None if math.isnan(v) else round(v, 2) for v in curve.high],
                        "seeds": curve.seeds,
                    }
                    for curve in panel.curves
                ],
                "published": {
                    label: {phase: end.mean for phase, end in ends.items()}
                    for label, ends in panel.published.items()
                },
            }
            for panel in panels
        ],
    }
    return json.dumps(data, allow_nan=False).replace("<", "\\u003c")


def read_cost(path: Path) -> list[dict[str, str]]:
    """Return the rows of a cost table.

    Raises:
        UserError: if the file cannot be read, has no column ``method``, or a cell is no number.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot read the costs {path}: {error}") from None
    if not rows or "method" not in rows[0]:
        raise UserError(f"{path} is no table of costs: it has no column method")
    for number, row in enumerate(rows, start=2):
        if None in row or not all(_is_cost(name, cell) for name, cell in row.items()):
            raise UserError(f"{path}: line {number} is no method with its costs")
    return rows


def _is_cost(name: str, cell: str | None) -> bool:
    """Tell whether a cell holds a number, or nothing; the column ``method`` holds a name."""
    return name == "method" or cell == "" or re.fullmatch(r"\d+(\.\d+)?", cell or "") is not None


def training_times(results: Sequence[Result]) -> dict[str, str]:
    """Return by method how long the shortest and the longest finished run trained."""
    seconds: dict[str, list[float]] = {}
    for result in results:
        if result.finished:
            seconds.setdefault(result.cell.label, []).append(result.evaluations[-1].wall_s)
    ends = {
        label: dict.fromkeys((format_seconds(min(each)), format_seconds(max(each))))
        for label, each in seconds.items()
    }
    return {label: " to ".join(words) for label, words in ends.items()}


def _copy_rollouts(report: SuiteReport, out: Path) -> list[Gallery]:
    """Copy the chosen films into ``out`` and tile those of each task."""
    galleries = []
    for task in report.suite.tasks:
        chosen = choose_rollouts(report.results, task)
        if chosen:
            place = f"rollouts/{task.folder}"
            clips = [_copy(rollout, place, out) for rollout in chosen]
            grid = f"{place}/all.mp4" if len(clips) > 1 else ""
            if grid:
                grid_video([rollout.path for rollout in chosen], out / grid)
            galleries.append(Gallery(task.title, clips, grid))
    return galleries


def _copy(rollout: Rollout, place: str, out: Path) -> Clip:
    source = f"{place}/{rollout.label}-seed{rollout.seed}.mp4"
    poster = f"{place}/{rollout.label}-seed{rollout.seed}.jpg"
    try:
        (out / source).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(rollout.path, out / source)
    except OSError as error:
        raise UserError(f"cannot copy {rollout.path} to {out / source}: {error}") from None
    first_frame(rollout.path, out / poster)
    return Clip(rollout.label, rollout.seed, source, poster)


def _require_jinja2() -> Any:
    try:
        import jinja2
    except ImportError:
        raise UserError("the page needs Jinja2: uv sync --extra benchmark") from None
    return jinja2
