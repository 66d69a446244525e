"""Make trials with damaged files, for as long as wanted.

    python -m tests.fuzz --minutes 60
    python -m tests.fuzz --target plain.hdf5 --first 1234 --count 1     # one of them again

Every module of this folder with ``TARGETS`` (names) and ``trial(name, seed)`` (what came of it)
takes part. Trials are made in batches, each in a process of its own with a limit of time, so that a
library that crashes or hangs is a finding too.
"""

import argparse
import collections
import faulthandler
import importlib
import json
import pkgutil
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

import tests.fuzz

CHECKOUT = Path(__file__).parents[2]
COUNT, LIMIT_S = 200, 600  # trials in a batch, and seconds for them


def targets() -> Iterator[tuple[str, str]]:
    """Yield each module that takes part, and each of its targets."""
    for module in pkgutil.iter_modules(tests.fuzz.__path__):
        if module.name != "__main__" and not module.name.startswith("test_"):
            loaded = importlib.import_module(f"tests.fuzz.{module.name}")
            for name in getattr(loaded, "TARGETS", ()):
                yield module.name, name


def batch(
    names: Sequence[str], *, first: int, count: int, limit_s: float
) -> dict[str, dict[str, int]]:
    """Make some trials of targets in another process; return how often each outcome came of each.

    Raises:
        AssertionError: with the seeds and the errors of the trials that failed.
    """
    words = ["--target", *names, "--first", str(first), "--count", str(count)]
    command = [sys.executable, "-m", "tests.fuzz", *words]
    try:
        done = subprocess.run(
            command, cwd=CHECKOUT, capture_output=True, text=True, timeout=limit_s
        )
    except subprocess.TimeoutExpired as error:
        begun = (error.stderr or b"").decode().splitlines()[-1:]
        raise AssertionError(f"no end of {begun}") from None
    assert done.returncode == 0, f"{done.stdout[-9000:]}\n{done.stderr[-4000:]}"
    return json.loads(done.stdout.splitlines()[-1])


def run_here(names: Sequence[str], first: int, count: int) -> int:
    """Make trials in this process, and print what came of them; return 1 if one failed."""
    faulthandler.enable()
    places = {target: module for module, target in targets()}
    counts = {name: collections.Counter() for name in names}
    failed = 0
    for name in names:
        trial = importlib.import_module(f"tests.fuzz.{places[name]}").trial
        for seed in range(first, first + count):
            print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
            try:
                counts[name][trial(name, seed)] += 1
            except Exception:
                failed += 1
                print(f"{name}, seed {seed}:\n{traceback.format_exc()}")
    print(json.dumps(counts))
    return int(failed > 0)


def main() -> int:
    """Return 0 if all trials were as they must be, else 1."""
    parser = argparse.ArgumentParser(description="Read damaged files, for as long as wanted.")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--target", nargs="+", help="these only")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, help="trials of each, in this process")
    options = parser.parse_args()
    names = options.target or [name for _, name in targets()]
    if options.count:
        return run_here(names, options.first, options.count)
    totals = {name: collections.Counter() for name in names}
    end = time.monotonic() + 60 * options.minutes
    first, failures = options.first, 0
    while time.monotonic() < end:
        for name in names:
            try:
                found = batch([name], first=first, count=COUNT, limit_s=LIMIT_S)
                totals[name] += collections.Counter(found[name])
            except AssertionError as error:
                failures += 1
                print(error, flush=True)
        first += COUNT
    for name, counts in totals.items():
        print(name, dict(counts))
    return int(failures > 0)


if __name__ == "__main__":
    raise SystemExit(main())
