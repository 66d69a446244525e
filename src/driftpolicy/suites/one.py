"""Make runs of a suite: ``python -m driftpolicy.suites.one FOLDER [FOLDER ...] PARENT``.

This does what ``dfp resume`` does, but for two things: the process does not outlive the process
PARENT that started it, and it collects no data, which was done once before all runs.
"""

import sys
from pathlib import Path

from rich.console import Console

from driftpolicy.errors import UserError
from driftpolicy.runs.folder import RunFolder
from driftpolicy.suites.cluster import end_with_parent
from driftpolicy.tasks.registry import benchmark_of, find_task, missing_data
from driftpolicy.training.launch import launch


def main() -> int:
    """Go on with the runs to their end and return the exit status of ``dfp resume``."""
    *paths, parent = sys.argv[1:]
    folders = [RunFolder(Path(path)) for path in paths]
    end_with_parent(int(parent))
    try:
        for folder in folders:
            config = folder.config()
            task = find_task(config.task)
            if benchmark_of(task).find_data(task, config.data) is None:
                raise missing_data(task)
        return launch(folders, Console())
    except UserError as error:
        print(f"dfp: {error}", flush=True)
        return 2


if __name__ == "__main__":
    sys.exit(main())
