"""Write the generated parts of reproducing.md: the published cells, and the hours they take.

    uv run python docs/reproducing.py

Everything between `<!-- name -->` and `<!-- end -->` is replaced.
"""

import re
import sys
from pathlib import Path

from driftpolicy.report.published import (
    OFFLINE_STEPS,
    ONLINE_STEPS,
    published_cost,
    published_score,
)
from driftpolicy.suites.suite import find_suite, make_cell

PAGE = Path(__file__).with_suffix(".md")
METHODS = ("bfn", "qc-bfn", "fql", "qc-fql", "mvp", "mvp-topk", "dfp-bc", "dfp")


def rows(head: list[str], body: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def cells() -> str:
    """The published success, offline and online, of every task and method."""
    body = []
    for task in find_suite("paper").tasks:
        runs = [make_cell(task.name, method, 0) for method in METHODS]
        found = [[published_score(run, phase) for phase in ("offline", "online")] for run in runs]
        texts = [" → ".join(f"{p.mean:.0f}" for p in pair if p) for pair in found]
        body.append([task.title, f"`{task.name}`", *texts])
    return rows(["task", "name here", *METHODS], body)


def alone() -> str:
    """The published success of the pure offline setting, of the methods that are here."""
    suite = find_suite("offline-rl")
    body = []
    for task in suite.tasks:
        runs = [run for run in suite.cells if run.task == task and run.seed == 0]
        found = [published_score(run, "offline") for run in runs]
        texts = [f"{p.mean:.0f} ± {p.deviation:.0f}" if p else "" for p in found]
        body.append([task.title, f"`{task.name}`", *texts])
    return rows(["task", "name here", *suite.methods], body)


def hours() -> str:
    """Hours of a run on the authors' GPU, at most: every step as dear as an online step."""
    body = []
    for method in METHODS:
        milliseconds = published_cost()[method]["online_step_ms"]
        run = (OFFLINE_STEPS + ONLINE_STEPS) * milliseconds / 3.6e6
        body.append([method, f"{milliseconds:.2f}", f"{run:.1f}", f"{60 * run:.0f}"])
    head = ["method", "ms per online step", "hours per run", "hours, 12 tasks x 5 seeds"]
    return rows(head, body)


PARTS = {"cells": cells, "alone": alone, "hours": hours}


def renewed(text: str) -> str:
    """The page's text with its generated parts made anew."""
    for name, make in PARTS.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        text, count = re.subn(pattern, rf"\g<1>\n{make()}\n\n\g<2>", text, flags=re.DOTALL)
        if count != 1:
            sys.exit(f"{PAGE} has no part {name}")
    return text


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
