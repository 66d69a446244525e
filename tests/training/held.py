"""``python -m MODULE ARGUMENT ...``, whose run waits at chosen rows of its train.csv.

    python tests/training/held.py FOLDER MODULE ARGUMENT ...

So a test knows where a run is that it kills, however slow either of them is. After row n the run
waits while there is a file of that name in FOLDER, or until a signal asks it to stop.
"""

import runpy
import signal
import sys
import time
from pathlib import Path

from driftpolicy.runs.tables import CsvLog


def rows(path: Path) -> int:
    """How many a run's file holds, below its head."""
    return max(path.read_bytes().count(b"\n") - 1, 0) if path.exists() else 0


def hold(folder: Path) -> None:
    write = CsvLog.write

    def write_and_wait(log, row):
        write(log, row)
        stop = folder / str(rows(log._path))
        handler = signal.getsignal(signal.SIGTERM)  # a run gives it back with the first signal
        while log._path.name == "train.csv" and stop.exists():
            if signal.getsignal(signal.SIGTERM) is not handler:
                return
            time.sleep(0.01)

    CsvLog.write = write_and_wait


if __name__ == "__main__":
    _, folder, module, *arguments = sys.argv
    hold(Path(folder))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
