"""The runs of a suite, from whatever is there to all of them finished, on whatever machines.

Nothing is remembered but what the run folders hold: started again, the driver looks at them and
does what is missing.
"""

import dataclasses
import time
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.text import Text

from driftpolicy.config import TrainConfig
from driftpolicy.errors import UserError
from driftpolicy.runs import Run
from driftpolicy.runs.folder import RunFolder
from driftpolicy.suites.cluster import Machines
from driftpolicy.suites.matching import objection
from driftpolicy.suites.sharing import find_offline_end, first_of_each
from driftpolicy.suites.suite import Cell
from driftpolicy.suites.watch import Pace, Rate, Snapshot, look_at
from driftpolicy.training.alike import program_of
from driftpolicy.training.prior_data import find_data

ATTEMPTS = 3
"""A run is given up when it has ended so often in a row without getting to a new checkpoint."""
TOGETHER = 16
"""At most so many runs share a process, unless somebody says another number."""
_TICK_S = 1.0
_LOOK_S = 15.0  # between looks at folders in which others are at work

State = Literal["waiting", "running", "elsewhere", "finished", "failed", "foreign"]


@dataclasses.dataclass
class Job:
    """A run of the suite and what is known of it."""

    cell: Cell
    folder: RunFolder
    config: TrainConfig
    state: State = "waiting"
    """``elsewhere``: another driver's process or a person's makes it. ``foreign``: its folder holds
    another run, which is left alone."""
    imitates: "Job | None" = None
    """The run whose offline phase this one takes over, if it has come to its end."""
    error: str = ""
    """What went wrong last, in one line."""
    attempts: int = 0
    """How often it has ended early since its last new checkpoint."""
    alone: bool = False
    """It ended early without a new checkpoint: by a fault of its own, or of one beside it."""
    seen: Snapshot = dataclasses.field(default_factory=Snapshot)
    """What its folder said last."""
    rate: Rate = dataclasses.field(default_factory=Rate)
    """Its steps per second."""
    handle: Any = None
    """Of its process, while it is running."""
    leader: "Job | None" = None
    """The run whose process made this one too, the last time; None: it had one to itself."""
    saved: int = -1
    """The step of the last checkpoint when it was started, -1 if there was none."""

    @property
    def ready(self) -> bool:
        """Tell whether nothing is worth waiting for: no other run is making this offline phase."""
        other = self.imitates
        if other is None or self.folder.begun() or other.folder.offline_end.exists():
            return True
        return other.state not in ("waiting", "running", "elsewhere")

    @property
    def config_to_start(self) -> TrainConfig:
        """Return the config with which the run starts: it takes over an offline phase if it can."""
        source = find_offline_end(self.folder, self.config)
        if source is None:
            return self.config
        return dataclasses.replace(self.config, offline_from=str(source.path.resolve()))

    @property
    def run(self) -> Run:
        """Return the reader of its folder."""
        return Run(self.folder.path)

    @property
    def log(self) -> Path:
        """Return the file with what its process printed."""
        return (self.leader or self).folder.log

    def look(self, now: float, pace: Pace) -> None:
        """Read the folder."""
        self.seen = look_at(self.run)
        seconds, steps = self.rate.add(now, self.seen.step)
        if steps:
            phase = "offline" if self.seen.step <= self.config.offline_steps else "online"
            pace.add(self.cell.label, phase, seconds, steps)

    def left(self, pace: Pace) -> float | None:
        """Return the seconds of work to its end, None if unknown."""
        offline = max(self.config.offline_steps - self.seen.step, 0)
        online = self.config.total_steps - max(self.seen.step, self.config.offline_steps)
        return pace.left(self.cell.label, {"offline": offline, "online": online})


class Driver:
    """Starts the runs that are missing, watches them, tries again, and reports."""

    def __init__(
        self,
        cells: Sequence[Cell],
        root: Path,
        report: Callable[["Driver", Job | None, str], None],
        *,
        together: int = TOGETHER,
    ):
        """Look at what is there.

        Args:
            cells: the runs.
            root: the suite's folder; the caller holds its lock.
            report: called at every tick without a job, and for what happens to a job with a word.
            together: at most how many runs share a process, where there is an accelerator.
        """
        self.root = root
        self.pace = Pace()
        self.slots = 0
        self.stopping = False
        self._report = report
        self._together = together
        self._looked = 0.0
        self.jobs = [Job(cell, cell.folder(root), cell.config) for cell in cells]
        for job, place in zip(
            self.jobs, first_of_each([job.config for job in self.jobs]), strict=True
        ):
            job.imitates = None if self.jobs[place] is job else self.jobs[place]
        for job in self.jobs:
            self._adopt(job)
            if job.state == "finished":
                self.pace.add_run(job.cell.label, job.run)

    def missing(self) -> list[Job]:
        """Return the runs that are still to be made here."""
        return [job for job in self.jobs if job.state in ("waiting", "running")]

    def count(self, *states: State) -> int:
        """Count the runs that are in one of these states."""
        return sum(job.state in states for job in self.jobs)

    def left(self) -> float | None:
        """Return the seconds until all is finished, None if unknown."""
        each = [job.left(self.pace) for job in self.jobs if job.state in ("waiting", "running")]
        known = [seconds for seconds in each if seconds is not None]
        if len(known) < len(each) or not each:
            return None
        at_once = max(min(self.slots, len(each)), self.count("running"), 1)
        return max(sum(known) / at_once, *known)

    def prepare(self, console: Console) -> None:
        """Find or collect the prior data of all that is missing, each once.

        Raises:
            UserError: if there are none and the suite collects none.
        """
        found = set()
        for job in self.missing():
            key = (job.cell.task.dataset, job.config.data)
            if key not in found:
                path = find_data(job.config, console)
                console.print(Text(f"Data of {key[0]}: {path}"), soft_wrap=True)
                found.add(key)

    def run(self, machines: Machines, stop: Callable[[], bool]) -> None:
        """Make runs until each is finished, given up or foreign, or ``stop()`` says so.

        Stopped, it returns when the runs have saved their state.
        """
        while True:
            self.slots = machines.slots()
            if not self.stopping and stop():
                self.stopping = True
                machines.stop()
            for handle, error in machines.ended():
                for job in [job for job in self.jobs if job.handle == handle]:
                    self._ended(job, error)
            self._look()
            if not self.stopping:
                self._start_ready(machines)
            self._report(self, None, "")
            busy = ("running",) if self.stopping else ("running", "waiting", "elsewhere")
            if not self.count(*busy):
                return
            time.sleep(_TICK_S)

    def _look(self) -> None:
        now = time.monotonic()
        for job in self.jobs:
            if job.state == "running":
                job.look(now, self.pace)
        if now - self._looked >= _LOOK_S:
            self._looked = now
            for job in self.jobs:
                if job.state in ("waiting", "elsewhere"):
                    before = job.state
                    self._adopt(job)
                    if job.state != before:
                        self._report(self, job, job.state)

    def _adopt(self, job: Job) -> None:
        """Note what the folder of a run says that is not ours at the moment."""
        job.look(time.monotonic(), self.pace)
        if objects := objection(job.folder, job.config):
            job.state, job.error = "foreign", objects
        elif job.seen.finished:
            job.state = "finished"
        else:
            job.state = "elsewhere" if job.folder.in_use() else "waiting"

    def _start_ready(self, machines: Machines) -> None:
        """Start what fits: on accelerators runs that are alike in one process, else one in each.

        After a failure each is tried alone, so that those whose fault it was not come to their end.
        """
        groups: dict[Hashable, list[Job]] = {}
        for job in [job for job in self.jobs if job.state == "waiting" and job.ready]:
            together = machines.accelerated and not job.alone
            alike = program_of(job.config) if together else job.cell
            groups.setdefault(alike, []).append(job)
        for group in groups.values():
            while group and (free := self.slots - self._processes()) > 0:
                count = min(self._together, -(-len(group) // free))
                chosen, group = group[:count], group[count:]
                self._start([job for job in chosen if self._startable(job)], machines)

    def _processes(self) -> int:
        """Count the processes that make runs here."""
        return len({id(job.handle) for job in self.jobs if job.state == "running"})

    def _startable(self, job: Job) -> bool:
        """Prepare the folder of a run, or see that it is no longer to be started."""
        self._adopt(job)
        if job.state != "waiting":
            self._report(self, job, job.state)
            return False
        try:
            if not job.folder.config_file.exists():
                with job.folder.lock():
                    job.folder.create(job.config_to_start)
        except UserError as error:
            job.state, job.error = "failed", str(error)
            self._report(self, job, "failed")
            return False
        return True

    def _start(self, jobs: Sequence[Job], machines: Machines) -> None:
        """Start a process that makes these runs."""
        if not jobs:
            return
        handle = machines.start([job.folder.path for job in jobs], jobs[0].folder.log)
        for job in jobs:
            job.leader = None if job is jobs[0] else jobs[0]
            job.saved = job.run.saved_step
            job.rate = Rate()  # what it waited does not count
            job.look(time.monotonic(), self.pace)
            job.handle = handle
            job.state = "running"
            self._report(self, job, "continued" if job.saved >= 0 else "started")

    def _ended(self, job: Job, error: str) -> None:
        """Note that a run's process is over: finished, or to be tried again, or given up."""
        job.handle = None
        job.look(time.monotonic(), self.pace)
        if job.seen.finished:
            job.state = "finished"
            self._report(self, job, "finished")
            return
        job.state = "waiting"
        if self.stopping or job.folder.in_use():
            return
        job.error = error or "it ended early without an error"
        job.alone = job.run.saved_step <= job.saved
        job.attempts = job.attempts + 1 if job.alone else 1
        if job.attempts >= ATTEMPTS:
            job.state = "failed"
        self._report(self, job, "failed" if job.state == "failed" else "ended early")
