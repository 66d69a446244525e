"""The learning curves of a suite: a panel per task, the methods' means and their intervals."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.data.files import write_atomically
from driftpolicy.errors import UserError
from driftpolicy.progress import format_steps
from driftpolicy.report.published import PublishedScore
from driftpolicy.report.results import Result
from driftpolicy.report.statistics import seed_interval
from driftpolicy.report.style import Style
from driftpolicy.report.suite_report import SuiteReport
from driftpolicy.runs import PHASES
from driftpolicy.tasks.task import Task

WIDTH = 3.3
"""Inches: one column of a paper set in two."""
FORMATS = ("png", "svg", "pdf")
_COLUMNS = 3
_TITLE = 20  # letters over a panel, and of one line where it takes two
_FONT = 6.5  # points; captions are set in 8 or 9, and no letter may be below 5


@dataclasses.dataclass(frozen=True)
class Curve:
    """A method on a task, over the steps at which it was evaluated; percent."""

    label: str
    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    """Of the 95% interval over the seeds; NaN where there is one seed."""
    high: tuple[float, ...]
    seeds: tuple[int, ...]
    """How many seeds were evaluated at each step."""


@dataclasses.dataclass(frozen=True)
class Panel:
    """A task."""

    task: Task
    offline_steps: int
    total_steps: int
    curves: tuple[Curve, ...]
    published: Mapping[str, Mapping[str, PublishedScore]]
    """By label and phase: what is printed for its end."""


def make_panels(report: SuiteReport) -> list[Panel]:
    """Return a panel for each task of the suite that has any run."""
    labels = report.suite.labels
    panels = []
    for task in report.suite.tasks:
        runs = [result for result in report.results if result.cell.task == task]
        by_label = {label: [run for run in runs if run.cell.label == label] for label in labels}
        curves = [_curve(label, each) for label, each in by_label.items()]
        curves = [curve for curve in curves if curve.steps]
        if not curves:
            continue
        ends: dict[str, dict[str, PublishedScore]] = {}
        for table in report.tables:
            for label in table.labels:
                entry = table.entries.get((label, task.name))
                if entry and entry.published:
                    ends.setdefault(label, {})[table.phase] = entry.published
        offline = max(run.cell.config.offline_steps for run in runs)
        total = max(run.total for run in runs)
        panels.append(
            Panel(
                task=task,
                offline_steps=offline,
                total_steps=total,
                curves=tuple(curves),
                published=ends,
            )
        )
    return panels


def _curve(label: str, runs: Sequence[Result]) -> Curve:
    """Return the curve over the seeds that were evaluated at each step."""
    by_step: dict[int, list[float]] = {}
    for run in runs:
        for evaluation in run.evaluations:
            by_step.setdefault(evaluation.step, []).append(evaluation.percent)
    steps = tuple(sorted(by_step))
    values = [np.array(by_step[step]) for step in steps]
    intervals = [np.clip(seed_interval(value), 0, 100) for value in values]  # NaN stays NaN
    return Curve(
        label=label,
        steps=steps,
        mean=tuple(float(value.mean()) for value in values),
        low=tuple(float(low) for low, _ in intervals),
        high=tuple(float(high) for _, high in intervals),
        seeds=tuple(map(len, values)),
    )


def draw(panels: Sequence[Panel], looks: Mapping[str, Style], outs: Sequence[Path]) -> None:
    """Draw the panels as a grid, one column of a paper wide, into each of the files.

    Args:
        panels: at least one.
        looks: the style of each method, in the order of the legend.
        outs: the files.

    Raises:
        UserError: if a file's ending is no format we draw, or it cannot be written.
    """
    for out in outs:
        if out.suffix.removeprefix(".") not in FORMATS:
            endings = ", ".join(f".{name}" for name in FORMATS)
            raise UserError(f"{out}: curves are drawn as {endings}")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    # The same input gives the same bytes; text stays text.
    settings: dict[Any, Any] = {
        "font.size": _FONT,
        "axes.linewidth": 0.5,
        "svg.hashsalt": "driftpolicy",
        "svg.fonttype": "none",
        "pdf.fonttype": 42,
    }
    with matplotlib.rc_context(settings):
        figure = make_figure(panels, looks)
        for out in outs:
            kind = out.suffix.removeprefix(".")
            no_date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[kind]
            write_atomically(
                out,
                lambda file, k=kind, m=no_date: figure.savefig(file, format=k, dpi=300, metadata=m),
                what="figure",
            )
        plt.close(figure)


def make_figure(panels: Sequence[Panel], looks: Mapping[str, Style]) -> Any:
    """Return the figure, whose axes carry the tasks' names as their labels."""
    from matplotlib import pyplot as plt
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    height = {1: 2.1, 2: 1.5}.get(columns, 1.12)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(WIDTH, 0.75 + rows * height),
        sharey=True,
        squeeze=False,
        layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.03),
    )
    drawn = [x for x in looks if any(x == curve.label for p in panels for curve in p.curves)]
    for axis, panel in zip(axes.flat, panels, strict=False):
        _draw_panel(axis, panel, looks)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel("success (%)", labelpad=1)
    marks = any(panel.published for panel in panels)
    for ncols in range(min(4, len(drawn) + marks), 0, -1):
        legend = figure.legend(
            handles=_legend([(label, looks[label]) for label in drawn], marks),
            loc="outside lower center",
            ncols=ncols,
            frameon=False,
            handlelength=2.4,
            columnspacing=1.0,
            title="steps (grey: offline); bands: 95% over seeds",
        )
        if ncols == 1 or legend.get_window_extent().width <= figure.bbox.width:
            break
        legend.remove()  # long names would be cut off at both sides
    return figure


def _draw_panel(axis: Any, panel: Panel, looks: Mapping[str, Style]) -> None:
    axis.set_label(panel.task.name)
    if panel.offline_steps:
        axis.axvspan(0, panel.offline_steps, color="0.92", linewidth=0, zorder=0)
    for curve in panel.curves:
        style = looks[curve.label]
        if not all(map(math.isnan, curve.low)):
            axis.fill_between(
                curve.steps,
                curve.low,
                curve.high,
                color=style.colour,
                alpha=0.18,
                linewidth=0,
            )
        axis.plot(
            curve.steps,
            curve.mean,
            label=curve.label,
            color=style.colour,
            linestyle=(0, style.dashes) if style.dashes else "-",
            linewidth=0.9,
            marker=style.marker,
            markersize=2.2,
            markevery=max(1, len(curve.steps) // 5),
        )
    for label, ends in panel.published.items():
        for phase in PHASES:
            if phase in ends:
                step = panel.offline_steps if phase == "offline" else panel.total_steps
                axis.plot(
                    step,
                    ends[phase].mean,
                    label=f"published {label}",
                    color=looks[label].colour,
                    marker="x",
                    markersize=3.2,
                    markeredgewidth=0.9,
                    linestyle="none",
                    clip_on=False,
                    zorder=3,
                )
    axis.set(xlim=(0, 1.03 * panel.total_steps), ylim=(-4, 104), yticks=(0, 50, 100))
    share = panel.offline_steps / panel.total_steps
    middle = panel.offline_steps if 0.25 < share < 0.75 else panel.total_steps // 2
    axis.set_xticks([0, middle, panel.total_steps])
    axis.xaxis.set_major_formatter(lambda step, _: format_steps(round(step)))
    axis.tick_params(labelsize=_FONT - 0.5, length=1.5, width=0.5, pad=1.5)
    axis.set_title(_title(panel.task), fontsize=_FONT, pad=2.5)
    axis.spines[["top", "right"]].set_visible(False)


def _title(task: Task) -> str:
    """Return a panel's title, in two lines where one does not fit, each cut at its beginning.

    The end of a name tells more than its beginning.
    """
    if len(task.title) <= _TITLE:
        return task.title
    return "\n".join(
        word if len(word) <= _TITLE else "\N{HORIZONTAL ELLIPSIS}" + word[1 - _TITLE :]
        for word in filter(None, task.heading)
    )


def _legend(looks: Sequence[tuple[str, Style]], marks: bool) -> list[Any]:
    from matplotlib.lines import Line2D

    lines = [
        Line2D(
            [],
            [],
            label=label,
            color=style.colour,
            linestyle=(0, style.dashes) if style.dashes else "-",
            linewidth=0.9,
            marker=style.marker,
            markersize=2.6,
        )
        for label, style in looks
    ]
    if marks:
        cross = {"color": "0.3", "marker": "x", "markersize": 3.2, "linestyle": "none"}
        lines.append(Line2D([], [], label="published", **cross))
    return lines
