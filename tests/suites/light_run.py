"""A run without training: 20 steps, a checkpoint every 5th; a file ``orders`` lets it fail or wait.

Like the real program it starts from its last checkpoint, saves its state when it gets SIGTERM, and
ends with the process that started it.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from driftpolicy.suites.cluster import end_with_parent

STEPS = 20


def save(folder: Path, step: int) -> None:
    (folder / "checkpoints").mkdir(exist_ok=True)
    (folder / "checkpoints" / f"step-{step:010d}.npz").touch()


def main(folder: Path, parent: int) -> int:
    failing = (folder / "orders").exists() and (folder / "orders").read_text() == "fail"
    saved = sorted((folder / "checkpoints").glob("*.npz"))
    step = int(saved[-1].stem.removeprefix("step-")) if saved else 0
    stopped = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    end_with_parent(parent)
    with open(folder / "starts", "a") as file:
        print(os.getpid(), step, os.environ["PJRT_NPROC"], file=file)
    if failing:
        print("dfp: the loss is not finite")
        return 2
    if not (folder / "train.csv").exists():
        (folder / "train.csv").write_text("step,phase\r\n")
    while step < STEPS:
        if stopped:
            save(folder, step)
            return 143
        if step == 12 and (folder / "orders").exists():
            time.sleep(0.05)
            continue
        step += 1
        with open(folder / "train.csv", "a") as file:
            file.write(f"{step},offline\r\n")
        if step % 5 == 0:
            save(folder, step)
        time.sleep(0.01)
    (folder / "summary.json").write_text(json.dumps({"steps": step}))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
