"""Draw the figures of improvement.md from the numbers in results/improvement.

uv run python docs/improvement.py
"""

import csv
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
NUMBERS = HERE.parent / "results" / "improvement"
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
    """Success of policies and critics in all their combinations."""
    found = rows("success.csv")
    figure, axes = plt.subplots(figsize=(8, 0.32 * len(found) + 1))
    labels = [
        f"{row['setting']} {row['seed']}: {row['run']}"
        + ("" if row["critic"] == row["run"] else f", critic of {row['critic']}")
        + f", best of {row['best_of']}"
        for row in found
    ]
    dots(axes, found, labels, scale=100)
    axes.set_xlabel("success (%), 95% interval")
    save(figure, "improvement-success.png")


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
    figure, axes = plt.subplots(1, 2, figsize=(11, 4))
    names = {
        "chosen_cosine": "best of both",
        "across_cosine": "best and random",
        "random_cosine": "random of both",
    }
    found = rows("diagnosis.csv", measurement="choice_wins")
    for shift, (name, label) in enumerate(names.items()):
        values = rows("diagnosis.csv", measurement=name)
        places = [place + 0.25 * (shift - 1) for place in range(len(values))]
        heights = [float(row["value"]) for row in values]
        axes[0].bar(places, heights, width=0.25, label=label, color=(BLUE, ORANGE, GREY)[shift])
    axes[0].set_xticks(
        range(len(found)),
        [labelled(row).replace(": ", "\n").replace(", seed", "\nseed") for row in found],
    )
    axes[0].tick_params(axis="x", labelsize=7)
    axes[0].set_ylabel("cosine of the forces of two halves")
    axes[0].set_ylim(0, 0.5)
    axes[0].legend(loc="upper right", ncols=3, fontsize=8)
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
