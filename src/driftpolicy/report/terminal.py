"""A report on a terminal."""

from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from driftpolicy.report import render
from driftpolicy.report.suite_report import SuiteReport
from driftpolicy.report.table import Aggregates, Entry, Table

_GAP = 2  # columns between cells


def show(report: SuiteReport, console: Console) -> None:
    """Print the tables, in as many blocks of columns as the width asks for."""
    console.print(Text(report.suite.title, style="bold"), soft_wrap=True)
    for table in report.tables:
        console.print()
        console.print(Text(render.caption(table)))
        for block in _blocks(table, console.width):
            console.print()
            console.print(block)
    if report.aggregates:
        console.print()
        console.print(Text(render.aggregate_caption(report.aggregates)))
        console.print()
        console.print(_aggregates(report.aggregates))
    console.print()
    for note in report.notes:
        bullet = RichTable.grid(padding=(0, 1))
        bullet.add_row("·", Text(note, style="dim"))
        console.print(Padding(bullet, (0, 0, 0, 0)))


def _cell(entry: Entry | None) -> Text:
    """Return our number, what is missing in it, the published one, the difference: a line each."""
    if entry is None:
        return Text("")
    if entry.mean is None:
        text = Text(entry.missing, style="italic")
    else:
        text = Text(
            render.score_words(entry), style={1: "bold", 2: "underline"}.get(entry.rank, "")
        )
        if entry.missing:
            text.append(f"\n{entry.missing}", style="not bold not underline italic yellow")
    if entry.published:
        words = f"\n{render.published_words(entry)} publ."
        text.append(words, style="not bold not underline not italic dim")
        if entry.difference is not None:
            text.append(
                f"\n{render.difference_words(entry)}", style="not bold not underline not italic dim"
            )
    return text


def _blocks(table: Table, width: int) -> list[RichTable]:
    """Return the table's columns, each as wide as its widest line, grouped to fit ``width``."""
    labels = [Text(label) for label in table.labels]
    first = max(len(label) for label in (*table.labels, "method"))
    groups: list[list[tuple[str, list[Text]]]] = []
    left = 0
    for column in table.columns:
        head = "\n".join(word for word in table.headings[column] if word)
        cells = [_cell(table.entries.get((label, column))) for label in table.labels]
        wide = max(len(line) for text in (head, *map(str, cells)) for line in text.split("\n"))
        if not groups or wide + _GAP > left:
            groups.append([])
            left = width - first
        groups[-1].append((head, cells))
        left -= wide + _GAP
    blocks = []
    for group in groups:
        block = RichTable(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
        block.add_column("method", no_wrap=True)
        for head, _ in group:
            block.add_column(Text(head), justify="right", no_wrap=True)
        tall = any("\n" in str(cell) for _, cells in group for cell in cells)
        for row, label in enumerate(labels):
            block.add_row(label, *(cells[row] for _, cells in group), end_section=tall)
            if tall and row < len(labels) - 1:
                block.add_row("")
        blocks.append(block)
    return blocks


def _aggregates(aggregates: Aggregates) -> RichTable:
    block = RichTable(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    block.add_column("method", no_wrap=True)
    block.add_column("interquartile mean", justify="right")
    block.add_column("interval", justify="right")
    block.add_column(f"P({aggregates.reference} better)", justify="right")
    for row in aggregates.rows:
        block.add_row(
            row.label,
            f"{row.interquartile_mean:.1f}",
            render.interval_words(row.interval),
            render.improvement_words(row),
        )
    return block
