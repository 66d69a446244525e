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
from collections.abc import Iterator
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


def batch(name: str, *, first: int, count: int, limit_s: float) -> collections.Counter[str]:
    """Make some trials of a target in another process; return how often each outcome came.

    Raises:
        AssertionError: with the seeds and the errors of the trials that failed.
    """
    words = ["--target", name, "--first", str(first), "--count", str(count)]
    command = [sys.executable, "-m", "tests.fuzz", *words]
    try:
        done = subprocess.run(
            command, cwd=CHECKOUT, capture_output=True, text=True, timeout=limit_s
        )
    except subprocess.TimeoutExpired as error:
        begun = (error.stderr or b"").decode().splitlines()[-1:]
        raise AssertionError(f"{name} hangs in {begun}") from None
    assert done.returncode == 0, f"{name}:\n{done.stdout}\n{done.stderr[-4000:]}"
    return collections.Counter(json.loads(done.stdout.splitlines()[-1]))


def run_here(name: str, first: int, count: int) -> int:
    """Make trials in this process, and print what came of them; return 1 if one failed."""
    faulthandler.enable()
    module = next(module for module, target in targets() if target == name)
    trial = importlib.import_module(f"tests.fuzz.{module}").trial
    counts: collections.Counter[str] = collections.Counter()
    failed = 0
    for seed in range(first, first + count):
        print(f"seed {seed}", file=sys.stderr, flush=True)
        try:
            counts[trial(name, seed)] += 1
        except Exception:
            failed += 1
            print(f"seed {seed}:\n{traceback.format_exc()}")
    print(json.dumps(counts))
    return int(failed > 0)


def main() -> int:
    """Return 0 if all trials were as they must be, else 1."""
    parser = argparse.ArgumentParser(description="Read damaged files, for as long as wanted.")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--target", help="one of them only")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, help="trials, in this process; needs --target")
    options = parser.parse_args()
    if options.count:
        return run_here(options.target, options.first, options.count)
    names = [name for _, name in targets() if options.target in (None, name)]
    totals = {name: collections.Counter() for name in names}
    end = time.monotonic() + 60 * options.minutes
    first, failures = options.first, 0
    while time.monotonic() < end:
        for name in names:
            try:
                totals[name] += batch(name, first=first, count=COUNT, limit_s=LIMIT_S)
            except AssertionError as error:
                failures += 1
                print(error, flush=True)
        first += COUNT
    for name, counts in totals.items():
        print(name, dict(counts))
    return int(failures > 0)


if __name__ == "__main__":
    raise SystemExit(main())
