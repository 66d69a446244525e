"""``dfp doctor``: versions, devices, rendering, and what to install."""

import argparse
import importlib.util
import os
import platform
from importlib import metadata

from rich.console import Console
from rich.table import Table

from driftpolicy import __version__
from driftpolicy.errors import UserError
from driftpolicy.progress import busy
from driftpolicy.tasks.registry import BENCHMARKS, find_task

_PACKAGES = ("jax", "jaxlib", "equinox", "optax", "numpy", "mujoco", "ogbench", "imageio-ffmpeg")
_EXTRAS = {
    "onnx": "export",
    "onnxruntime": "deploy",
    "tensorboardX": "tensorboard",
    "wandb": "wandb",
    "huggingface_hub": "hub",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments."""


def run(options: argparse.Namespace) -> int:
    """Print a table; return 1 if something that training needs is missing."""
    import jax

    from driftpolicy.training.video import FilmRunner, film_workers

    console = Console()
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    missing = []
    table.add_row("driftpolicy", __version__)
    table.add_row("python", f"{platform.python_version()} on {platform.platform(terse=True)}")
    for package in _PACKAGES:
        try:
            table.add_row(package, metadata.version(package))
        except metadata.PackageNotFoundError:
            missing.append(package)
            table.add_row(package, "[red]missing[/red]: uv sync")
    for module, extra in _extras().items():
        there = importlib.util.find_spec(module) is not None
        table.add_row(module, "there" if there else f"not installed (uv sync --extra {extra})")
    table.add_row("cores", str(len(os.sched_getaffinity(0))))
    devices = ", ".join(f"{d.platform}:{d.id} {d.device_kind}" for d in jax.devices())
    table.add_row("devices", devices)
    try:
        with (
            busy("rendering a picture"),
            film_workers(find_task("cube-single-play-singletask-task1-v0")) as workers,
        ):
            table.add_row("rendering", f"works ({workers.call(0, FilmRunner.renderer)})")
    except UserError as error:
        table.add_row("rendering", f"[yellow]{error}[/yellow]; training works without")
    for benchmark in BENCHMARKS.values():
        for name, text in benchmark.doctor_rows():
            table.add_row(name, text)
    console.print(table)
    return 1 if missing else 0


def _extras() -> dict[str, str]:
    """Return the packages that are not needed by all, each with the extra that installs it."""
    extras: dict[str, str] = {}
    for benchmark in BENCHMARKS.values():
        extras |= benchmark.optional_packages()
    return extras | _EXTRAS
