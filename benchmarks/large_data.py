"""Prior data in shards on the disk beside a twentieth of them on the device (point 7).

    uv run python benchmarks/large_data.py [--shards 20] [--thousand 1000] [--rounds 4] [--small]

Synthetic data of cube-quadruple's dimensions, a million transitions a shard unless told otherwise.
The shards are hard links of one file in the published layout; each gets a mapped form of its own,
250 MB. Two processes, one on a single file in memory and one on all shards, train in turn at the
paper's sizes: milliseconds per step, and resident memory, all of it and without mapped files.
"""

import json
import multiprocessing
import os
import statistics
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from common import Figure, arguments, median_ratio, milliseconds_per_step, report, training_loop
from memory import resident

from driftpolicy.data.files import write_npz
from driftpolicy.tasks.ogbench.dataset import load_dataset
from driftpolicy.tasks.ogbench.shards import open_shards
from driftpolicy.tasks.registry import find_task

TASK = "cube-quadruple-play-100m-singletask-task2-v0"
DIMENSIONS = {"observations": 55, "actions": 5, "qpos": 42, "qvel": 38}


def publish(folder: Path, shards: int, transitions: int) -> None:
    """Shards as they are published, but not compressed and all alike."""
    draw, rows = np.random.default_rng(0), transitions + transitions // 1000
    arrays = {
        name: draw.uniform(-1, 1, (rows, width)).astype(np.float32)
        for name, width in DIMENSIONS.items()
    }
    arrays["terminals"] = (np.arange(rows) % 1001 == 1000).astype(np.float32)
    write_npz(folder / "play-0.npz", {"metadata": np.array(json.dumps({})), **arrays})
    for number in range(1, shards):
        os.link(folder / "play-0.npz", folder / f"play-{number}.npz")


def train(path: Path, small: bool, blocks: int, pipe: Connection) -> None:
    """A process: at each request so many blocks, and what they took."""
    task = find_task(TASK)
    dataset = open_shards(task, path) if path.is_dir() else load_dataset(task, path)
    with training_loop(small, dataset, task=TASK) as runs:
        count = len(dataset)
        del dataset
        milliseconds_per_step(runs, 2)
        pipe.send(count)
        while pipe.recv():
            pipe.send((milliseconds_per_step(runs, blocks), resident()))


def measure(small: bool, shards: int = 20, thousand: int = 1000, rounds: int = 4) -> list[Figure]:
    context, pipes = multiprocessing.get_context("spawn"), []
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        publish(Path(folder), shards, 1000 * thousand)
        for path in (Path(folder), Path(folder) / "play-0.npz"):
            ours, theirs = context.Pipe()
            arguments = (path, small, 40 if small else 1, theirs)
            context.Process(target=train, args=arguments).start()
            pipes.append(ours)
            print(f"{path.name}: {ours.recv():,} transitions")  # one after the other
        found: list[list] = [[], []]
        for _ in range(rounds):
            for each, pipe in zip(found, pipes, strict=True):
                pipe.send(True)
                each.append(pipe.recv())
        for pipe in pipes:
            pipe.send(False)
    (many, few), (more, less) = (
        [[row[0] for row in each] for each in found],
        [each[-1][1] for each in found],
    )
    ratio = median_ratio(many, few)
    times = (statistics.median(many), "one file on the device (ms)", statistics.median(few), ratio)
    figures = [Figure(7, f"step, {shards} shards (ms)", *times, "<= 1.1", ratio <= 1.1)]
    for kind in ("anonymous", "all"):
        a, b = more[kind] / 1e6, less[kind] / 1e6
        what = f"memory, {kind} (MB)"
        figures.append(Figure(7, what, a, "one file (MB)", b, a / b, "+ 2000 MB", a <= b + 2000))
    return figures


if __name__ == "__main__":
    options = arguments(__doc__, shards=20, thousand=1000, rounds=4)
    report(options, measure(options.small, options.shards, options.thousand, options.rounds))
