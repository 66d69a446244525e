"""Waiting for what a test needs, on a machine of any speed."""

import subprocess
import time
from collections.abc import Callable

import pytest

PATIENCE = 1800.0
"""Seconds after which a test gives up: nothing but a hang takes so long."""


def wait_until(holds: Callable[[], bool], process: subprocess.Popen | None = None) -> None:
    """Ask until it does; fails when the process that is to bring it about has ended."""
    deadline = time.monotonic() + PATIENCE
    while True:
        over = process is not None and process.poll() is not None
        if holds():
            return
        if over or time.monotonic() > deadline:
            break
        time.sleep(0.02)
    if process is None:
        pytest.fail(f"not within {PATIENCE:.0f} s")
    process.kill()
    pytest.fail(f"the process ended or took {PATIENCE:.0f} s: {process.communicate()[0]}")
