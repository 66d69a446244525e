"""Draw the figures of improvement.md from the numbers in results/improvement and results/remedies.

uv run python docs/improvement.py
"""

import csv
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt

from driftpolicy.runs.tables import read_evaluations

HERE = Path(__file__).parent
NUMBERS = HERE.parent / "results" / "improvement"
REMEDIES = HERE.parent / "results" / "remedies"
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#777777"

Row = dict[str, str]


def rows(name: str, **wanted: str) -> list[Row]:
    """The rows of a file in which these columns have these values."""
    with open(NUMBERS / name, newline="") as file:
        found = list(csv.DictReader(file))
    return [row for row in found if all(row[key] == value for key, value in wanted.items())]


def labelled(row: Row) -> str:
    """A run's setting, name and seed."""
    return f"{row['setting']}: {row['run']}, seed {row['seed']}"


def dots(axes, found: list[Row], labels: list[str], scale: float = 1.0) -> None:
    """A dot with its interval for each row, from top to bottom."""
    for place, row in enumerate(found):
        value, low, high = (scale * float(row[name]) for name in ("value", "low", "high"))
        improved = row["run"].startswith("dfp") and not row["run"].startswith("dfp-bc")
        colour = BLUE if improved else ORANGE
        axes.errorbar(value, place, xerr=[[value - low], [high - value]], fmt="o", color=colour)
    axes.set_yticks(range(len(found)), labels)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)


def save(figure, name: str) -> None:
    """Write a figure beside the page, the same bytes for the same numbers."""
    figure.tight_layout()
    figure.savefig(HERE / name, dpi=110, metadata={"Software": None})
    plt.close(figure)


def success() -> None:
    """Success with and without improvement: as trained, and decided by more or fewer samples."""
    found = [row for row in rows("success.csv") if row["run"] == row["critic"]]
    trained = {"quickstart": "4", "small": "16", "small, min, best of 4": "4"}
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 3.6))
    pairs = [
        row
        for row in found
        if row["run"] in ("dfp", "dfp-bc") and row["best_of"] == trained[row["setting"]]
    ]
    labels = [f"{row['setting']}, seed {row['seed']}: {row['run']}" for row in pairs]
    dots(left, pairs, labels, scale=100)
    left.set_xlabel("success (%), 95% interval")
    for setting, style in (("quickstart", "-"), ("small", "--")):
        for run, colour in (("dfp", BLUE), ("dfp-bc", ORANGE)):
            mine = rows("success.csv", setting=setting, run=run, critic=run, seed="0")
            mine.sort(key=lambda row: int(row["best_of"]))
            counts = [int(row["best_of"]) for row in mine]
            low, value, high = (
                [100 * float(row[name]) for row in mine] for name in ("low", "value", "high")
            )
            sides = [
                [v - b for v, b in zip(value, low, strict=True)],
                [t - v for v, t in zip(value, high, strict=True)],
            ]
            right.errorbar(
                counts, value, yerr=sides, fmt="o" + style, color=colour, label=f"{setting}: {run}"
            )
    right.set_xscale("log", base=2)
    right.set_xticks([1, 2, 4, 16, 64], ["1", "2", "4", "16", "64"])
    right.set_xlabel("samples per decision, seed 0")
    right.set_ylabel("success (%)")
    right.set_ylim(0, 130)
    right.set_yticks(range(0, 101, 20))
    right.grid(alpha=0.3)
    right.legend(fontsize=8, loc="upper left", ncols=2)
    save(figure, "improvement-success.png")


def remedies() -> None:
    """Success at the end of the suite's finished runs: each seed, and their mean."""
    ends: dict[str, dict[str, float]] = {}
    for file in sorted(REMEDIES.glob("*/*/seed*/eval.csv")):
        ends.setdefault(file.parts[-3], {})[file.parts[-2]] = read_evaluations(file)[-1].percent
    complete = [run for run, seeds in ends.items() if len(seeds) == 3]
    complete.sort(key=lambda run: sum(ends[run].values()))
    figure, axis = plt.subplots(figsize=(8, 0.36 * len(complete) + 1.2))
    for place, run in enumerate(complete):
        colour = ORANGE if run.startswith("dfp-bc") else BLUE
        for (_, success), marker in zip(sorted(ends[run].items()), "os^", strict=True):
            axis.plot(success, place, marker, color=colour, alpha=0.6, markeredgewidth=0)
        axis.plot(sum(ends[run].values()) / 3, place, "|", color="black", markersize=16)
    axis.set_yticks(range(len(complete)), complete)
    axis.set_xlim(0, 100)
    axis.set_xlabel("success (%)\ncircle, square, triangle: seeds 10, 11, 12; bar: their mean")
    axis.grid(axis="x", alpha=0.3)
    save(figure, "improvement-remedies.png")


def critic() -> None:
    """What the critic knows: of returns, of candidates, and how sure it is of it."""
    panels = {
        "choice_wins": "share of states in which the\ncritic's choice beats a random one",
        "choice_gain": "discounted return that\nthe choice gains",
        "choice_promise": "discounted return that\nthe critic promises",
        "q_bias": "Q minus return",
    }
    runs = [labelled(row) for row in rows("diagnosis.csv", measurement="choice_wins")]
    figure, axes = plt.subplots(1, 4, figsize=(13, 0.35 * len(runs) + 1.4), sharey=True)
    for axis, (name, title) in zip(axes, panels.items(), strict=True):
        dots(axis, rows("diagnosis.csv", measurement=name), runs)
        axis.set_xlabel(title)
    for axis, chance in zip(axes, (0.5, 0.0, 0.0, 0.0), strict=True):
        axis.axvline(chance, color=GREY, linestyle=":")
    save(figure, "improvement-critic.png")


def force() -> None:
    """How much of the force is the critic's, and how far the anchor is behind."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 4))
    names = {
        "chosen_cosine": "best of both",
        "across_cosine": "best and random",
        "random_cosine": "random of both",
    }
    found = rows("diagnosis.csv", measurement="choice_wins")
    for shift, (name, label) in enumerate(names.items()):
        values = rows("diagnosis.csv", measurement=name)
        places = [place + 0.25 * (shift - 1) for place in range(len(values))]
        widths = [float(row["value"]) for row in values]
        axes[0].barh(places, widths, height=0.25, label=label, color=(BLUE, ORANGE, GREY)[shift])
    axes[0].set_yticks(range(len(found)), [labelled(row) for row in found], fontsize=8)
    axes[0].invert_yaxis()
    axes[0].set_xlim(0, 0.6)
    axes[0].set_xlabel("cosine of the forces of two halves")
    axes[0].legend(loc="center right", fontsize=8)
    every = rows("steps.csv", measurement="anchor_distance")
    every = [row for row in every if not row["run"].startswith("offline")]
    for run in sorted({labelled(row) for row in every}):
        mine = [row for row in every if labelled(row) == run]
        spread = {
            row["step"]: float(row["value"])
            for row in rows("steps.csv", measurement="spread")
            if labelled(row) == run
        }
        steps = [int(row["step"]) for row in mine]
        relative = [float(row["value"]) / spread[row["step"]] for row in mine]
        axes[1].plot(steps, relative, marker="o", label=run)
    axes[1].set_xlabel("step")
    axes[1].set_ylabel("distance of policy and anchor,\nin deviations of the policy's samples")
    axes[1].legend(fontsize=7)
    save(figure, "improvement-force.png")


if __name__ == "__main__":
    success()
    critic()
    force()
    remedies()
