"""Temporary files of processes that were killed while they wrote."""

import contextlib
import os
import re
from pathlib import Path

_TEMPORARY = re.compile(r"\..+\.([1-9]\d*)\.tmp", re.ASCII)
"""As :func:`driftpolicy.data.files.write_atomically` names them, with the process's number."""


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote into a folder.

    Call it only while no process of another machine writes there: those that run are known by
    their number on this one.
    """
    for path in folder.glob(".*.tmp"):
        match = _TEMPORARY.fullmatch(path.name)
        if match and not _is_running(int(match[1])):
            with contextlib.suppress(OSError):
                path.unlink()


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return process != os.getpid()
