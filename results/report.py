"""The table and the figure of a results folder, made from its eval.csv files.

    uv run python results/report.py FOLDER

Reads `FOLDER/<method>/seed<k>/eval.csv`, prints a Markdown table (success at the end of each phase,
every seed, then mean ± standard deviation over the seeds) and draws `FOLDER/curves.png`: success
over steps, a line per seed, their mean in bold, the offline phase on grey.
"""

import csv
import statistics
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

ORDER = ("bfn", "qc-bfn", "fql", "qc-fql", "mvp", "mvp-topk", "dfp-bc", "dfp")
Rows = list[dict[str, str]]


def read(folder: Path) -> dict[str, dict[int, Rows]]:
    """The evaluations by method and seed."""
    runs: dict[str, dict[int, Rows]] = {}
    for path in sorted(folder.glob("*/seed*/eval.csv")):
        seed = int(path.parent.name.removeprefix("seed"))
        with open(path, newline="") as file:
            runs.setdefault(path.parent.parent.name, {})[seed] = list(csv.DictReader(file))
    return {method: runs[method] for method in sorted(runs, key=ORDER.index)}


def end(rows: Rows, phase: str) -> float:
    """Success in percent at the end of a phase."""
    return 100 * float([row for row in rows if row["phase"] == phase][-1]["success"])


def cell(values: list[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    each = ", ".join(f"{value:.0f}" for value in values)
    return f"{statistics.mean(values):.1f} ± {deviation:.1f} ({each})"


def print_table(runs: dict[str, dict[int, Rows]]) -> None:
    print("| method | seeds | offline (%) | online (%) |")
    print("| --- | --- | --- | --- |")
    for method, seeds in runs.items():
        cells = [cell([end(rows, phase) for rows in seeds.values()]) for phase in PHASES]
        print(f"| {method} | {', '.join(map(str, seeds))} | {' | '.join(cells)} |")


PHASES = ("offline", "online")


def draw(runs: dict[str, dict[int, Rows]], out: Path) -> None:
    columns = min(4, len(runs))
    rows = -(-len(runs) // columns)
    size = (5.4, 3.2) if columns == 1 else (2.4 * columns, 2.2 * rows)
    figure, axes = plt.subplots(
        rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for axis, (method, seeds) in zip(axes.flat, runs.items(), strict=False):
        curves = []
        for evaluations in seeds.values():
            steps = [int(row["step"]) for row in evaluations]
            curves.append([100 * float(row["success"]) for row in evaluations])
            axis.plot(steps, curves[-1], color="#0072B2", linewidth=0.8, alpha=0.5)
            offline = max(int(r["step"]) for r in evaluations if r["phase"] == "offline")
        means = [statistics.mean(values) for values in zip(*curves, strict=True)]
        axis.plot(steps, means, color="#0072B2", linewidth=2.2, marker="o", markersize=3.5)
        axis.axvspan(0, offline, color="0.93", zorder=0)
        axis.set(title=method, xlim=(0, None), ylim=(-3, 103))
        axis.title.set_fontsize("medium")
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes.flat[len(runs) :]:
        axis.set_visible(False)
    figure.supxlabel("step (grey: offline)", fontsize="small")
    figure.supylabel("success (%)", fontsize="small")
    figure.savefig(out, dpi=150)


def main(folder: Path) -> None:
    runs = read(folder)
    if not runs:
        sys.exit(f"no <method>/seed<k>/eval.csv in {folder}")
    print_table(runs)
    draw(runs, folder / "curves.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
