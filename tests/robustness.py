"""Run the statistical tests under other instruction sets and base seeds, and count their failures.

    uv run python tests/robustness.py [--seeds 20] [--isas AVX2,native] [PYTEST-ARGUMENT ...]

Each quantity that a test bounds is listed with its mean and standard deviation over the base seeds
and the distance of the nearer bound in standard deviations, least distance first. The status is 1
if a test failed in any run, if a bound is nearer than four standard deviations, or if an
instruction set gives a value that the seeds do not explain.
"""

import argparse
import collections
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.statistical import BASE_SEED_VARIABLE, RECORD_VARIABLE

NEAREST = 4.0
"""The least distance of a bound from the mean, in standard deviations over the base seeds."""
UNEXPLAINED = 6.0
"""A value so many standard deviations from the seeds' mean is the instruction set's doing."""
ISAS = ("SSE4_2", "AVX", "AVX2", "native")
"""XLA's names of instruction sets, and the machine's own without a name."""
Values = dict[tuple[str, str], list[dict]]


def isas(text: str) -> list[str]:
    """Return the instruction sets in a list with commas."""
    names = text.split(",")
    if unknown := set(names) - set(ISAS):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return names


def run(isa: str, seed: int, folder: Path, arguments: list[str]) -> tuple[list[str], list[dict]]:
    """Return the tests that failed, and what was recorded."""
    record = folder / f"{isa}-{seed}.jsonl"
    environment = os.environ | {
        BASE_SEED_VARIABLE: str(seed),
        RECORD_VARIABLE: str(record),
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
    }
    if isa != "native":
        flags = f"{environment.get('XLA_FLAGS', '')} --xla_cpu_max_isa={isa}"
        environment["XLA_FLAGS"] = flags.strip()
    command = [sys.executable, "-m", "pytest", "-m", "statistical", "-rfE", "--tb=short"]
    done = subprocess.run(
        [*command, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, flags=re.MULTILINE)
    if done.returncode not in (0, 1) or (done.returncode and not failed):
        raise SystemExit(done.stdout + done.stderr)
    print(f"{isa}, base seed {seed}: {len(failed)} failed", flush=True)
    lines = record.read_text().splitlines() if record.exists() else []
    return failed, [json.loads(line) for line in lines]


def distances(seeds: Values) -> list[tuple[float, str, float, float, dict]]:
    """Return each quantity's nearest distance, name, mean, deviation and bounds, nearest first."""
    rows = []
    for (test, name), records in seeds.items():
        values = np.concatenate([record["values"] for record in records])
        mean, deviation = values.mean(), values.std(ddof=1) if len(values) > 1 else np.nan
        gap = min(mean - records[0]["low"], records[0]["high"] - mean)
        rows.append((gap / max(deviation, 1e-12), f"{test} {name}", mean, deviation, records[0]))
    return sorted(rows, key=lambda row: row[0])


def unexplained(seeds: Values, others: dict[str, Values]) -> list[str]:
    """Return a line for each instruction set's value that lies outside of the seeds' spread."""
    lines = []
    for isa, found in others.items():
        for place, records in found.items():
            if place not in seeds:  # native runs failed before, or there were none
                lines.append(f"{' '.join(place)} under {isa}: no native value to compare with")
                continue
            known = np.concatenate([record["values"] for record in seeds[place]])
            values = np.concatenate([record["values"] for record in records])
            spread = np.ptp(known) + 1e-3 * np.abs(known).max()
            apart = np.abs(values - known.mean()).max() / max(known.std(ddof=1), spread / 10)
            if apart > UNEXPLAINED:
                lines.append(f"{' '.join(place)} under {isa}: {apart:.1f} standard deviations off")
    return lines


def main() -> int:
    """Run all, print the report, and return the exit status."""
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--seeds", type=int, default=20, help="base seeds beside 0")
    # Not one word each: they would take the paths of tests that follow for their own.
    parser.add_argument("--isas", type=isas, default=list(ISAS), help=f"of {','.join(ISAS)}")
    options, arguments = parser.parse_known_args()
    failures: collections.Counter[str] = collections.Counter()
    seeds: Values = collections.defaultdict(list)
    others: dict[str, Values] = {}
    with tempfile.TemporaryDirectory() as folder:
        runs = [("native", seed) for seed in range(1, options.seeds + 1)]
        for isa, seed in [(isa, 0) for isa in options.isas] + runs:
            failed, records = run(isa, seed, Path(folder), arguments)
            failures.update(failed)
            kept = seeds
            if isa != "native":
                kept = others.setdefault(isa, collections.defaultdict(list))
            for record in records:
                kept[record["test"], record["name"]].append(record)
    rows = distances(seeds)
    print(f"\n{'distance':>8} {'mean':>10} {'deviation':>10}  bounds and quantity")
    for distance, name, mean, deviation, record in rows:
        bounds = f"[{record['low']:g}, {record['high']:g}]"
        print(f"{distance:8.1f} {mean:10.4g} {deviation:10.3g}  {bounds} {name}")
    strange = unexplained(seeds, others)
    print("\n".join(strange))
    total = len(options.isas) + options.seeds
    print(f"{total} runs, {failures.total()} failures; {len(rows)} quantities")
    for test, count in failures.most_common():
        print(f"{test}: failed {count} times")
    near = [row for row in rows if not row[0] >= NEAREST]
    return int(bool(failures or strange or near))


if __name__ == "__main__":
    sys.exit(main())
