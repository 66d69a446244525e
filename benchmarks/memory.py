"""Peak resident memory of a run, and whether it grows (point 10).

    uv run python benchmarks/memory.py [--steps 3000] [--small]

A run at the paper's sizes on a million transitions of cube-double's dimensions, its replay of a
million rows full (every page written), through both phases and a checkpoint; its peak beside the
size of the prior data. Then, with small networks, so many online steps: the slope of the memory.
"""

import resource
from pathlib import Path
from typing import Any

import numpy as np
from common import NEVER, Figure, arguments, milliseconds_per_step, report, synthetic, training_loop


def resident() -> dict[str, int]:
    """Bytes of this process in memory: anonymous pages, mapped files, and the sum."""
    lines = Path("/proc/self/status").read_text().splitlines()
    table = {line.split(":")[0]: line.split() for line in lines}
    names = {"anonymous": "RssAnon", "files": "RssFile", "all": "VmRSS"}
    return {key: 1024 * int(table[name][1]) for key, name in names.items()}


def peak(small: bool) -> Figure:
    dataset = synthetic(1_000_000)
    size = sum(array.nbytes for array in dataset.rows)
    settings: dict[str, Any] = {"offline_steps": 25, "online_steps": NEVER, "warmup_steps": 0}
    with training_loop(small, dataset, **settings) as loop:
        run = loop.runs[0]
        del dataset
        milliseconds_per_step(loop, 1)
        for array in run.replay.rows:
            array[:] = array.copy()
        milliseconds_per_step(loop, 3)
        loop.records[0].save()
    most = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Figure(
        10,
        "peak memory (MB)",
        most / 1e6,
        "prior data (MB)",
        size / 1e6,
        most / size,
        "data + 1500 MB",
        most <= size + 1.5e9,
    )


def slope(steps: int) -> Figure:
    settings: dict[str, Any] = {"offline_steps": 0, "online_steps": NEVER, "warmup_steps": 0}
    settings |= {"replay_capacity": steps // 10, "log_every": 50}
    with training_loop(True, synthetic(10_000), **settings) as loop:
        run, found = loop.runs[0], []
        while run.step < steps:
            milliseconds_per_step(loop, 1)
            found.append((run.step, resident()["anonymous"]))
    x, y = np.array(found[len(found) // 3 :], float).T
    rate = np.polyfit(x, y, 1)[0]
    return Figure(
        10,
        f"growth over {steps} online steps (MB per million steps)",
        rate,  # bytes per step
        "anonymous memory (MB)",
        y[-1] / 1e6,
        rate * 1e6 / y[-1],
        "none",
        None,
    )


def measure(small: bool, steps: int = 3000) -> list[Figure]:
    return [peak(small), slope(steps)]


if __name__ == "__main__":
    options = arguments(__doc__, steps=3000)
    report(options, measure(options.small, options.steps))
