"""A report as Markdown, LaTeX and CSV."""

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence

from driftpolicy.report.suite_report import SuiteReport
from driftpolicy.report.table import Aggregate, Aggregates, Entry, Table

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"
CSV_COLUMNS = (
    "phase",
    "task",
    "method",
    "mean",
    "deviation",
    "seeds",
    "seeds_asked",
    "steps",
    "steps_asked",
    "rank",
    "published_mean",
    "published_deviation",
    "difference",
    "missing",
    "scores",
)
_LATEX = str.maketrans(
    {c: rf"\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


def caption(table: Table) -> str:
    """Return what a table shows."""
    return f"Success after the {table.phase} phase (%)"


def score_words(entry: Entry) -> str:
    """Return ``93.2 ± 1.6``, ``93.2`` for one seed, or what is missing where there is nothing."""
    if entry.mean is None:
        return entry.missing
    spread = "" if math.isnan(entry.deviation) else f" ± {entry.deviation:.1f}"
    return f"{entry.mean:.1f}{spread}"


def published_words(entry: Entry) -> str:
    """Return the published number as ``93.2 ± 1.6``, or nothing."""
    if entry.published is None:
        return ""
    deviation = entry.published.deviation
    return f"{entry.published.mean:.1f}" + ("" if deviation is None else f" ± {deviation:.1f}")


def difference_words(entry: Entry) -> str:
    """Return ``+0.4``, ``-2.0``, or nothing; rounded as the numbers beside it are."""
    if entry.difference is None:
        return ""
    return f"{entry.difference:+.1f}".replace("-", MINUS).replace(f"{MINUS}0.0", "+0.0")


def interval_words(values: tuple[float, float], digits: int = 1) -> str:
    """Return ``90.1 to 95.0``, a dash where the interval is unknown."""
    low, high = values
    return DASH if math.isnan(low) else f"{low:.{digits}f} to {high:.{digits}f}"


def improvement_words(row: Aggregate) -> str:
    """Return ``0.83 (0.71 to 0.94)``, a dash for the reference itself."""
    if math.isnan(row.improvement):
        return DASH
    known = not math.isnan(row.improvement_interval[0])
    interval = f" ({interval_words(row.improvement_interval, 2)})" if known else ""
    return f"{row.improvement:.2f}{interval}"


def aggregate_caption(aggregates: Aggregates) -> str:
    """Return over which tasks aggregates are taken, and what their columns are."""
    tasks = ", ".join(task.title for task in aggregates.tasks)
    noun = "task" if len(aggregates.tasks) == 1 else f"{len(aggregates.tasks)} tasks"
    return (
        f"All seeds at once, over the {noun} on which every method has a finished run ({tasks}): "
        "interquartile mean of success (%), and the probability that a seed of "
        f"{aggregates.reference} does better than one of the method; in brackets intervals of 95% "
        "by a bootstrap stratified by tasks."
    )


# Markdown.


def to_markdown(report: SuiteReport) -> str:
    """Return tables for a README: ``<u>`` underlines, ``<br>`` breaks a cell's lines."""
    parts = [f"### {report.suite.title}"]
    for table in report.tables:
        rows = [
            [label, *(_markdown_cell(table, label, c) for c in table.columns)]
            for label in table.labels
        ]
        head = ["method", *(" ".join(table.headings[c]).strip() for c in table.columns)]
        parts += [f"{caption(table)}:", _markdown_rows(head, rows)]
    if report.aggregates:
        aggregates = report.aggregates
        head = ["method", "interquartile mean", f"P({aggregates.reference} better)"]
        rows = [
            [row.label, _aggregate_words(row), improvement_words(row)] for row in aggregates.rows
        ]
        parts += [aggregate_caption(aggregates), _markdown_rows(head, rows)]
    parts += ["\n".join(f"- {note}" for note in report.notes)]
    return "\n\n".join(parts) + "\n"


def _markdown_cell(table: Table, label: str, column: str) -> str:
    entry = table.entries.get((label, column))
    if entry is None:
        return ""
    words = score_words(entry)
    words = {1: f"**{words}**", 2: f"<u>{words}</u>"}.get(entry.rank, words)
    lines = [f"*{words}*" if entry.mean is None else words]
    if entry.missing and entry.mean is not None:
        lines.append(f"*{entry.missing}*")
    if entry.published:
        difference = difference_words(entry)
        lines.append(
            f"published {published_words(entry)}" + (f" ({difference})" if difference else "")
        )
    return "<br>".join(lines)


def _markdown_rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _aggregate_words(row: Aggregate) -> str:
    known = not math.isnan(row.interval[0])
    return f"{row.interquartile_mean:.1f}" + (f" ({interval_words(row.interval)})" if known else "")


# LaTeX.


def to_latex(report: SuiteReport) -> str:
    """Return tables for a paper; they need the package booktabs.

    Under a method's row stand the published numbers, and under those the differences.
    """
    return (
        "\n".join(_latex_table(table) for table in report.tables)
        + "\n".join(f"% {note}" for note in report.notes)
        + "\n"
    )


def _latex_table(table: Table) -> str:
    columns = table.columns
    heads = [table.headings[column] for column in columns]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{caption(table).translate(_LATEX)}}}",
        rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"\toprule",
    ]
    for index, first in enumerate(("method", "")):
        lines.append(_latex_row([first, *(head[index] for head in heads)]))
    lines.append(r"\midrule")
    for label in table.labels:
        entries = [table.entries.get((label, column)) for column in columns]
        lines.append(_latex_row([label], [_latex_score(entry) for entry in entries]))
        small: list[tuple[str, Callable[[Entry], str]]] = [
            ("published", published_words),
            ("difference", difference_words),
        ]
        for name, words in small:
            texts = [words(entry) if entry else "" for entry in entries]
            if any(texts):
                lines.append(
                    _latex_row(
                        [], [_small(rf"\quad {name}"), *map(_small, map(_latex_math, texts))]
                    )
                )
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
    return "\n".join(lines)


def _latex_row(plain: Sequence[str], latex: Sequence[str] = ()) -> str:
    return " & ".join([*(text.translate(_LATEX) for text in plain), *latex]) + r" \\"


def _latex_score(entry: Entry | None) -> str:
    if entry is None:
        return ""
    if entry.mean is None:
        return _small(rf"\textit{{{entry.missing.translate(_LATEX)}}}")
    command = {1: r"\textbf", 2: r"\underline"}.get(entry.rank)
    mean = f"{entry.mean:.1f}"
    mean = f"{command}{{{mean}}}" if command else mean
    if not math.isnan(entry.deviation):
        mean += " " + _small(rf"$\pm$ {entry.deviation:.1f}")
    return mean + (
        " " + _small(rf"\textit{{({entry.missing.translate(_LATEX)})}}") if entry.missing else ""
    )


def _small(text: str) -> str:
    return rf"{{\scriptsize {text}}}" if text else ""


def _latex_math(text: str) -> str:
    return text.replace("±", r"$\pm$").replace(MINUS, "$-$")


# CSV.


def to_csv(report: SuiteReport) -> str:
    """Return a line per phase, method and column, numbers in full, scores as ``seed=score ...``."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for table in report.tables:
        for label in table.labels:
            for column in table.columns:
                entry = table.entries.get((label, column))
                if entry is not None:
                    writer.writerow(_csv_row(table.phase, column, label, entry))
    return out.getvalue()


def _csv_row(phase: str, column: str, label: str, entry: Entry) -> list[object]:
    printed = entry.published
    values: dict[str, object] = {
        "phase": phase,
        "task": column,
        "method": label,
        "mean": _number(entry.mean),
        "deviation": _number(entry.deviation),
        "seeds": len(entry.scores),
        "seeds_asked": entry.seeds,
        "steps": entry.steps,
        "steps_asked": entry.goal,
        "rank": entry.rank or "",
        "published_mean": _number(printed.mean if printed else None),
        "published_deviation": _number(printed.deviation if printed else None),
        "difference": _number(entry.difference),
        "missing": entry.missing,
        "scores": " ".join(f"{seed}={score!r}" for seed, score in entry.scores.items()),
    }
    return [values[name] for name in CSV_COLUMNS]


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else repr(float(value))


FORMATS: dict[str, Callable[[SuiteReport], str]] = {
    "markdown": to_markdown,
    "latex": to_latex,
    "csv": to_csv,
}
"""The formats by name; a terminal's is :mod:`driftpolicy.report.terminal`."""
