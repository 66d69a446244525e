"""One run of a suite, in a process of its own: ``python -m driftpolicy.benchmark.one FOLDER``.

It is what ``dfp resume`` does, but for two things: the process does not outlive the one that
started it, and it collects no data, which was done once before all runs.
"""

import sys
from pathlib import Path

from rich.console import Console

from driftpolicy.benchmark.cluster import end_with_parent
from driftpolicy.errors import UserError
from driftpolicy.tasks.registry import benchmark_of, find_task, missing_data
from driftpolicy.training.launch import launch
from driftpolicy.training.run import RunFolder


def main() -> int:
    """Go on with the run to its end; the exit status is that of ``dfp resume``."""
    folder, parent = RunFolder(Path(sys.argv[1])), int(sys.argv[2])
    end_with_parent(parent)
    try:
        config = folder.config()
        task = find_task(config.task)
        if benchmark_of(task).find_data(task, config.data) is None:
            raise missing_data(task)
        return launch([folder], Console())
    except UserError as error:
        print(f"dfp: {error}", flush=True)
        return 2


if __name__ == "__main__":
    sys.exit(main())
