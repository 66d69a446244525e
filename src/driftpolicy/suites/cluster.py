"""Ray: machines that hold runs, one process each. Nothing else of the package knows of it."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from driftpolicy.errors import UserError

RUN = ("-m", "driftpolicy.suites.one")
"""The program of a run, for Python; its arguments are the folders and the process it ends with."""
_THREADS = ("PJRT_NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_STORE_BYTES = 80 * 2**20  # nothing passes through Ray's store: the least it takes
_POLL_S = 0.2
_PATIENCE = {  # with what Ray starts; by itself it gives up too soon on a machine with other work
    "RAY_agent_register_timeout_ms": "600000",
    "RAY_raylet_start_wait_time_s": "600",
    "RAY_worker_register_timeout_seconds": "600",
}
_PR_SET_PDEATHSIG = 1


@runtime_checkable
class Machines(Protocol):
    """Where runs are made. A handle stands for a process, of one run or of several."""

    def slots(self) -> int:
        """Return how many processes fit at once, now."""
        ...

    def start(self, folders: Sequence[Path], log: Path) -> Any:
        """Start the process of runs, which prints into ``log``, and return its handle."""
        ...

    def ended(self) -> list[tuple[Any, str]]:
        """Return the processes that ended since the last call, and what went wrong in each."""
        ...

    @property
    def accelerated(self) -> bool:
        """Whether a process has an accelerator, on which runs that are alike share one."""
        ...

    def stop(self) -> None:
        """Tell all runs to stop with a checkpoint; they still come out of :meth:`ended`."""
        ...

    def close(self) -> None:
        """Let go of the machines."""
        ...


class RayMachines:
    """One machine, or a running Ray cluster all of whose machines see the same files."""

    def __init__(
        self,
        address: str | None = None,
        *,
        cpus_per_run: int = 1,
        gpus_per_run: float | None = None,
        program: Sequence[str] = RUN,
    ):
        """Start Ray here, or connect to it.

        Args:
            address: of a running cluster (``auto``, ``HOST:PORT``); None uses this machine alone.
            cpus_per_run: cores of a run, and its threads.
            gpus_per_run: GPUs of a run, or a share of one; None gives it one if there are any.
            program: what Python runs for a run.

        Raises:
            UserError: if Ray is not installed, the cluster is not reached, or no machine of it has
                that many cores and GPUs.
        """
        self._ray = quiet_ray()
        here = len(os.sched_getaffinity(0))
        start = {"num_cpus": here, "object_store_memory": _STORE_BYTES, "include_dashboard": False}
        try:
            self._ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                **({} if address else start),
            )
        except (OSError, RuntimeError, ValueError, AssertionError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"cannot start Ray ({address or 'here'}): {reason}") from None
        self._cpus = cpus_per_run
        self._gpus = gpus_per_run
        if gpus_per_run is None:
            self._gpus = 1.0 if self._ray.cluster_resources().get("GPU", 0) >= 1 else 0.0
        self._handles: list[Any] = []
        if not self.slots():
            self.close()
            where = "no machine of the cluster" if address else "this machine does not have"
            verb = " has" if address else ""
            raise UserError(
                f"{where}{verb} {cpus_per_run} CPUs"
                + (f" and {self._gpus:g} GPUs" if self._gpus else "")
                + " for a run (--cpus-per-run, --gpus-per-run)"
            )
        self._run = self._ray.remote(num_cpus=cpus_per_run, num_gpus=self._gpus, max_retries=0)(
            _run
        )
        self._program = tuple(program)

    def slots(self) -> int:
        """Return how many runs fit at once on the machines that are there now."""
        count = 0
        for node in self._ray.nodes():
            if node["Alive"]:
                has = node["Resources"]
                fits = int(has.get("CPU", 0) // self._cpus)
                if self._gpus:
                    fits = min(fits, int(has.get("GPU", 0) / self._gpus + 1e-9))
                count += fits
        return count

    @property
    def accelerated(self) -> bool:
        """Whether a process has a GPU or a share of one."""
        return bool(self._gpus)

    def start(self, folders: Sequence[Path], log: Path) -> Any:
        """Start the process of runs, which prints into ``log``, and return its handle."""
        handle = self._run.remote(
            program=self._program,
            folders=[str(folder.absolute()) for folder in folders],
            log=log.absolute(),
            cwd=str(Path.cwd()),
            cpus=self._cpus,
            gpus=self._gpus,
        )
        self._handles.append(handle)
        return handle

    def ended(self) -> list[tuple[Any, str]]:
        """Return the processes that ended since the last call, and what went wrong in each."""
        if not self._handles:
            return []
        done, self._handles = self._ray.wait(
            self._handles, num_returns=len(self._handles), timeout=0
        )
        return [(handle, self._error(handle)) for handle in done]

    def _error(self, handle: Any) -> str:
        try:
            return self._ray.get(handle)
        except self._ray.exceptions.TaskCancelledError:
            return "stopped"
        except self._ray.exceptions.RayTaskError as error:
            return str(error.cause)
        except self._ray.exceptions.RayError:
            return "the machine or the process that looked after the run was lost"

    def stop(self) -> None:
        """Tell all runs to stop with a checkpoint."""
        for handle in self._handles:
            self._ray.cancel(handle)

    def close(self) -> None:
        """End Ray here, or leave the cluster."""
        self._ray.shutdown()


def quiet_ray() -> Any:
    """Return Ray set up with patience and without reports home, warnings and logs on the terminal.

    Raises:
        UserError: naming the extra to install.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"  # workers use this very environment
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # and no warning about it
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    # A worker that loses its machine would kill its run, which by SIGTERM saves its state.
    os.environ.setdefault("RAY_kill_child_processes_on_worker_exit", "false")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import ray  # pyright: ignore[reportMissingImports]
            import ray._private.worker as worker  # pyright: ignore[reportMissingImports]
            import ray.exceptions  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UserError("Ray is not installed: uv sync --extra benchmark") from None
    # Pages about machines that were lost, which no public setting keeps off the terminal.
    worker.print_to_stdstream = lambda *_, **__: None
    return ray


def _run(
    *, program: tuple[str, ...], folders: list[str], log: Path, cwd: str, cpus: int, gpus: float
) -> str:
    """On a machine of the cluster, start the process of runs and wait for its end.

    Returns:
        What went wrong in one line, or nothing.
    """
    # Ray cancels by an interrupt, which a script's background job and all it starts ignore.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    missing = [path for path in (cwd, *folders) if not Path(path).is_dir()]
    if missing:
        return f"{missing[0]} is not on machine {os.uname().nodename}: a cluster shares its files"
    environment = os.environ | dict.fromkeys(_THREADS, str(cpus))
    if not gpus:
        environment["JAX_PLATFORMS"] = "cpu"
    elif gpus < 1:
        environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{0.9 * gpus:.3f}"
    with open(log, "ab") as output:
        process = subprocess.Popen(
            [sys.executable, *program, *folders, str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=environment,
            start_new_session=True,  # what ends this process must let the run save its state
        )
        try:
            while process.poll() is None:
                time.sleep(_POLL_S)
        except KeyboardInterrupt:  # so Ray cancels
            process.terminate()
            process.wait()
            return "stopped"
    if process.returncode == 0:
        return ""
    if process.returncode < 0:
        return f"killed by {signal.Signals(-process.returncode).name}"
    return last_line(log) or f"exit status {process.returncode}"


def end_with_parent(parent: int) -> None:
    """Have SIGTERM sent to this process, a run's, when the process ``parent`` that started it ends.

    So no run outlives its driver or its machine's part in the cluster, and each saves its state.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before this was asked for
        sys.exit(128 + signal.SIGTERM)


def last_line(path: Path) -> str:
    """Return the last line of a log that is not blank: what an error ends with."""
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 4096))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
