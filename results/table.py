"""The table of a results folder, made from its eval.csv files.

    uv run python results/table.py FOLDER

Reads `<folder>/seed<k>/eval.csv` and prints Markdown: success at the end of the offline and at the
end of the online phase, per seed, then their mean and standard deviation over the seeds.
"""

import csv
import statistics
import sys
from pathlib import Path


def last_success(path: Path, phase: str) -> float:
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["phase"] == phase]
    return 100 * float(rows[-1]["success"])


def main(folder: Path) -> None:
    paths = sorted(folder.glob("seed*/eval.csv"))
    if not paths:
        sys.exit(f"no seed*/eval.csv in {folder}")
    ends = [[last_success(path, phase) for phase in ("offline", "online")] for path in paths]
    print("| seed | offline (%) | online (%) |")
    print("| --- | --- | --- |")
    for path, (offline, online) in zip(paths, ends, strict=True):
        print(f"| {path.parent.name.removeprefix('seed')} | {offline:.0f} | {online:.0f} |")
    cells = []
    for column in zip(*ends, strict=True):
        deviation = statistics.stdev(column) if len(column) > 1 else 0.0
        cells.append(f"{statistics.mean(column):.1f} ± {deviation:.1f}")
    print(f"| mean ± deviation | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
