"""``dfp benchmark run``: make the runs of a suite."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from driftpolicy.cli.benchmark_table import add_only
from driftpolicy.cli.numbers import number, whole
from driftpolicy.cli.train import add_max_minutes

if TYPE_CHECKING:
    from driftpolicy.suites.driver import Driver
    from driftpolicy.training.launch import Stop


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("suite", metavar="SUITE", help="a suite's name, or the path of a .toml")
    parser.add_argument("--out", metavar="FOLDER", help="where run folders are [runs/SUITE]")
    add_only(parser)
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="a running Ray cluster's, or auto; its machines share their files [this machine]",
    )
    parser.add_argument(
        "--cpus-per-run", type=_count, default=1, metavar="N", help="cores, and threads, a run [1]"
    )
    parser.add_argument(
        "--gpus-per-run",
        type=_share,
        metavar="F",
        help="GPUs a run; 0.25 lets four share one [1 where there are any]",
    )
    parser.add_argument(
        "--together",
        type=_count,
        default=16,
        metavar="N",
        help="on a GPU, at most so many runs that are alike as one program [16]",
    )
    add_max_minutes(parser)


def _count(text: str) -> int:
    value = whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return value


def _share(text: str) -> float:
    value = number(text)
    if not (0 <= value <= 1 or (value.is_integer() and value < math.inf)) or value < 0:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1, or a whole number, not {text}")
    return value


def run(options: argparse.Namespace) -> int:
    """Make the missing runs; return 0 if all are there or time is out, 1 if one is given up."""
    from driftpolicy.runs.folder import RunFolder
    from driftpolicy.suites.cluster import RayMachines, quiet_ray
    from driftpolicy.suites.display import SuiteDisplay
    from driftpolicy.suites.driver import Driver
    from driftpolicy.suites.suite import find_suite
    from driftpolicy.training.launch import Stop

    suite = find_suite(options.suite).only(options.only)
    root = Path(options.out or f"runs/{suite.name}")
    console = Console()
    stop = Stop(options.max_minutes)
    display = SuiteDisplay(console, suite.name)
    with RunFolder(root).lock():
        driver = Driver(suite.cells, root, display, together=options.together)
        title = f"[bold]{escape(suite.title)}[/bold], in {root}"
        console.print(title, highlight=False, soft_wrap=True)
        if driver.missing() or driver.count("elsewhere"):
            quiet_ray()  # says so before data are collected if it is not there
            driver.prepare(console)
            machines = RayMachines(
                options.address,
                cpus_per_run=options.cpus_per_run,
                gpus_per_run=options.gpus_per_run,
            )
            try:
                with stop.listening(), display:
                    driver.run(machines, stop)
            finally:
                machines.close()
        return conclude(driver, stop, console)


def conclude(driver: "Driver", stop: "Stop", console: Console) -> int:
    """Print what is there and what is not, and return the exit status."""
    done, whole = driver.count("finished"), len(driver.jobs)
    counts = f"{done} of {whole} runs finished: {driver.root}"
    console.print(counts, highlight=False, soft_wrap=True)
    for job in driver.jobs:
        if job.state == "failed":
            console.print(
                f"[red]failed[/red] {job.cell.name}: {escape(job.error)} (log: {job.log})",
                highlight=False,
                soft_wrap=True,
            )
        elif job.state == "foreign":
            console.print(
                f"[red]not counted[/red] {job.cell.name}: {escape(job.error)}; nothing in it was "
                "changed: move it away, or choose another folder (--out)",
                highlight=False,
                soft_wrap=True,
            )
    if done < whole and (stop.signal or stop.timed_out):
        reason = stop.signal.name if stop.signal else "the time limit"
        console.print(f"Stopped by {reason}; the same command goes on", highlight=False)
    if done < whole and stop.signal:
        return 128 + stop.signal
    return 1 if driver.count("failed", "foreign") else 0
