"""The driver's decisions, on machines that exist only in this file."""

import contextlib
import io
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from driftpolicy.cli.benchmark_run import conclude
from driftpolicy.runs.folder import RunFolder
from driftpolicy.suites import driver as driving
from driftpolicy.suites.display import SuiteDisplay
from driftpolicy.suites.driver import Driver
from driftpolicy.training.launch import Stop
from tests.suites.common import Reports, cells


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(driving, "_TICK_S", 0.0)
    monkeypatch.setattr(driving, "_LOOK_S", 0.0)


class Machines:
    """Every run ends by the next tick, as its list of outcomes says: an error, or nothing."""

    def __init__(self, outcomes=None, slots: int = 2):
        self.outcomes = outcomes or {}
        self.started: list[int] = []
        self._running: list[Path] = []
        self._slots = slots
        self.most = 0
        self.stopped = False

    def slots(self) -> int:
        return self._slots

    accelerated = False

    def start(self, folders: Sequence[Path], log: Path) -> Path:
        (folder,) = folders
        self.started.append(int(folder.name.removeprefix("seed")))
        self._running.append(folder)
        self.most = max(self.most, len(self._running))
        return folder

    def ended(self):
        ended, self._running = self._running, []
        return [(folder, self._end(folder)) for folder in ended]

    def _end(self, folder: Path) -> str:
        outcomes = self.outcomes.get(int(folder.name.removeprefix("seed")), [])
        outcome = outcomes.pop(0) if outcomes else ""
        if outcome == "saved":  # got further, then died
            saved = len(list((folder / "checkpoints").glob("*"))) + 1
            (folder / "checkpoints").mkdir(exist_ok=True)
            (folder / "checkpoints" / f"step-{saved:010d}.npz").touch()
        elif not outcome:
            (folder / "summary.json").write_text("{}")
        return outcome

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        pass


def drive(root: Path, machines: Machines, count: int = 3, stop=lambda: False, runs=None) -> Driver:
    reports = Reports()
    driver = Driver(runs or cells(count), root, reports)
    driver.reports = reports
    driver.run(machines, stop)
    return driver


def test_all_are_run_once_in_order_and_no_more_at_a_time_than_fit(tmp_path):
    machines = Machines()
    driver = drive(tmp_path, machines, count=5)
    assert machines.started == [0, 1, 2, 3, 4]
    assert machines.most == 2
    assert driver.count("finished") == 5
    for cell in cells(5):
        assert cell.folder(tmp_path).config() == cell.config


class Accelerated(Machines):
    """Machines on whose accelerators runs that are alike share a process."""

    accelerated = True

    def start(self, folders: Sequence[Path], log: Path) -> tuple[Path, ...]:
        assert log == folders[0] / "log.txt"
        self.started.append([int(folder.name.removeprefix("seed")) for folder in folders])
        self._running.append(tuple(folders))
        self.most = max(self.most, len(self._running))
        return self._running[-1]

    def ended(self):
        ended, self._running = self._running, []
        return [(folders, max(map(self._end, folders))) for folders in ended]


def test_a_run_that_cannot_begin_takes_no_other_with_it(tmp_path):
    """A process ends for all its runs if one of them is damaged; afterwards each is tried alone."""
    fault = ["seed 2 is corrupted"]
    machines = Accelerated({seed: fault * (3 if seed == 2 else 1) for seed in (2, 3)})
    driver = drive(tmp_path, machines, runs=cells(4))
    assert machines.started[:2] == [[0, 1], [2, 3]]
    assert sorted(machines.started[2:]) == [[2], [2], [3]]
    assert [job.state for job in driver.jobs] == ["finished", "finished", "failed", "finished"]


def test_runs_that_got_further_go_on_together(tmp_path):
    machines = Accelerated({0: ["saved"], 1: ["saved"]}, slots=1)
    driver = drive(tmp_path, machines, runs=cells(2))
    assert machines.started == [[0, 1], [0, 1]]
    assert driver.count("finished") == 2


def test_runs_that_are_alike_share_an_accelerator(tmp_path):
    """On two accelerators five seeds are two processes; another batch size is a third."""
    machines = Accelerated()
    runs = [*cells(5), *cells(1, batch_size=8, seeds=[9])]
    driver = drive(tmp_path, machines, runs=runs)
    assert machines.started == [[0, 1, 2], [3, 4], [9]]
    assert machines.most == 2
    assert driver.count("finished") == 6
    assert driver.jobs[2].log == driver.jobs[0].folder.log
    assert driver.jobs[9 - 4].log == driver.jobs[5].folder.log


def test_at_most_so_many_share_one(tmp_path):
    machines = Accelerated(slots=1)
    driver = Driver(cells(5), tmp_path, Reports(), together=2)
    driver.run(machines, lambda: False)
    assert machines.started == [[0, 1], [2, 3], [4]]


def test_a_run_that_fails_beside_others_is_tried_again_without_those_that_finished(tmp_path):
    machines = Accelerated({1: ["dfp: no"]}, slots=1)
    driver = drive(tmp_path, machines)
    assert machines.started == [[0, 1, 2], [1]]
    assert driver.count("finished") == 3


def test_started_again_only_what_is_missing_is_done(tmp_path):
    drive(tmp_path, Machines(), count=2)
    machines = Machines()
    drive(tmp_path, machines, count=4)
    assert machines.started == [2, 3]


def test_a_run_dropped_into_the_folder_counts(tmp_path):
    settings = {"processes": 7, "data": "/elsewhere/data.npz", "video": False}
    dropped = cells(1, **settings)[0]
    folder = dropped.folder(tmp_path)
    folder.create(dropped.config)
    folder.write_summary({})
    machines = Machines()
    assert drive(tmp_path, machines).count("finished") == 3
    assert machines.started == [1, 2]


def test_another_run_in_the_folder_is_neither_counted_nor_touched(tmp_path):
    other = cells(1, batch_size=31)[0]
    folder = other.folder(tmp_path)
    folder.create(other.config)
    folder.write_summary({})
    before = folder.config_file.read_bytes()
    machines = Machines()
    driver = drive(tmp_path, machines)
    assert machines.started == [1, 2]
    assert driver.jobs[0].state == "foreign"
    assert driver.jobs[0].error == f"{folder.path} has batch_size 31, the suite says 256"
    assert folder.config_file.read_bytes() == before
    text, code = concluded(driver)
    assert code == 1
    assert "2 of 3 runs finished" in text
    assert f"not counted {driver.jobs[0].cell.name}: {folder.path} has batch_size 31" in text


def test_a_run_that_always_fails_is_given_up_and_the_rest_is_done(tmp_path):
    machines = Machines({0: ["dfp: no"] * 9})
    driver = drive(tmp_path, machines)
    assert machines.started.count(0) == driving.ATTEMPTS
    assert [job.state for job in driver.jobs] == ["failed", "finished", "finished"]
    assert [word for seed, word in driver.reports.words if seed == 0] == [
        *("started", "ended early", "started", "ended early", "started", "failed")
    ]
    text, code = concluded(driver)
    assert code == 1
    log = tmp_path / driver.jobs[0].cell.name / "log.txt"
    assert f"failed {driver.jobs[0].cell.name}: dfp: no (log: {log})" in text


def test_only_ends_without_a_new_checkpoint_count_as_attempts(tmp_path):
    machines = Machines({0: ["no", "saved", "no", "saved", "no", "saved"]})
    driver = drive(tmp_path, machines, count=1)
    assert driver.count("finished") == 1
    assert len(machines.started) == 7


def test_a_run_of_another_process_is_waited_for(tmp_path):
    cell = cells(1)[0]
    machines = Machines()
    reports = Reports()
    with contextlib.ExitStack() as elsewhere:
        elsewhere.enter_context(cell.folder(tmp_path).lock())
        driver = Driver(cells(2), tmp_path, reports)
        assert driver.jobs[0].state == "elsewhere"

        def end_elsewhere(driver: Driver) -> None:
            if driver.jobs[1].state == "finished":
                elsewhere.close()

        reports.at_tick = end_elsewhere
        driver.run(machines, lambda: False)
    assert machines.started == [1, 0]  # it ended without having finished
    assert driver.count("finished") == 2


def test_stopped_nothing_more_is_started(tmp_path):
    stop = Stop(None)
    machines = Machines({0: ["stopped"], 1: ["stopped"]})
    reports = Reports()
    driver = Driver(cells(3), tmp_path, reports)

    def interrupt(_: Driver) -> None:
        stop.signal = signal.SIGINT

    reports.at_tick = interrupt
    driver.run(machines, stop)
    assert machines.stopped
    assert machines.started == [0, 1]
    assert [job.attempts for job in driver.jobs] == [0, 0, 0]
    text, code = concluded(driver, stop)
    assert code == 130
    assert "Stopped by SIGINT; the same command goes on" in text


def test_what_a_run_waited_is_not_counted_into_its_pace(tmp_path, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    time = SimpleNamespace(monotonic=lambda: clock.now, sleep=lambda seconds: None)
    monkeypatch.setattr(driving, "time", time)
    reports = Reports()
    driver = Driver(cells(1), tmp_path, reports)
    clock.now = 1000.0

    def train(driver: Driver) -> None:
        clock.now = 1020.0
        driver.jobs[0].folder.train_csv.write_text("step,phase\n10,offline\n")

    reports.at_tick = train
    driver.run(Machines(), lambda: False)
    assert driver.pace.left("dfp", {"offline": 5, "online": 0}) == 10.0


def concluded(driver: Driver, stop: Stop | None = None) -> tuple[str, int]:
    console = Console(file=io.StringIO(), width=60)
    code = conclude(driver, stop or Stop(None), console)
    return console.file.getvalue(), code


def test_data_are_prepared_once_per_dataset_and_only_for_what_is_missing(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        driving, "find_data", lambda config, console: asked.append(config.seed) or tmp_path
    )
    driver = Driver([*cells(2), *cells(1, data="other.npz", batch_size=8)], tmp_path, Reports())
    console = Console(file=io.StringIO())
    driver.prepare(console)
    assert len(asked) == 2
    assert console.file.getvalue().count("Data of cube-single-play-v0") == 2
    drive(tmp_path, Machines(), count=2)
    asked.clear()
    Driver(cells(2), tmp_path, Reports()).prepare(console)
    assert asked == []


def drawn(driver: Driver, height: int, interactive: bool = True) -> str:
    console = Console(
        file=io.StringIO(), width=110, height=height, force_terminal=interactive, color_system=None
    )
    display = SuiteDisplay(console, "mine")
    with display:
        display(driver, driver.jobs[0], "ended early")
        display(driver, None, "")
        with console.capture() as capture:
            console.print(display)
    return console.file.getvalue() + capture.get()


def test_the_live_table_shows_what_matters_first(tmp_path):
    driver = Driver(cells(12), tmp_path, Reports())
    driver.jobs[0].attempts, driver.jobs[0].error = 1, "[odd] words"
    for job, state in zip(driver.jobs[8:], ("running", "failed", "finished"), strict=False):
        job.state = state
    driver.slots = 1
    driver.pace.add("dfp", "offline", 100.0, 10)
    driver.pace.add("dfp", "online", 200.0, 10)
    text = drawn(driver, height=8)
    assert "mine: 1 of 12 finished, 1 running, 9 waiting, 1 failed, about 50 min 00 s left" in text
    assert f"{driver.jobs[0].cell.name} ended early (1 of 3): [odd] words" in text
    rows = [line.split() for line in text.splitlines() if line.startswith("cube-single-task1")]
    assert [row[2:5] for row in rows[-4:]] == [
        ["8", "running", "0/20"],
        ["9", "failed", "0/20"],
        ["10", "finished", "0/20"],
        ["0", "waiting", "0/20"],
    ]


def test_without_a_terminal_there_are_lines_only(tmp_path):
    driver = Driver(cells(1), tmp_path, Reports())
    driver.jobs[0].error = "killed"
    text = drawn(driver, height=8, interactive=False)
    assert "\x1b" not in text
    assert text.startswith(f"  {driver.jobs[0].cell.name} ended early (0 of 3): killed\n")


def test_without_ray_the_extra_is_named_before_anything_is_collected(tmp_path, capsys, monkeypatch):
    from driftpolicy.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(driving, "find_data", lambda *_: pytest.fail("too early"))
    assert main(["benchmark", "run", "smoke"]) == 2
    assert capsys.readouterr().err == "dfp: Ray is not installed: uv sync --extra benchmark\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["smoke", "--cpus-per-run", "0"], "--cpus-per-run: must be at least 1, not 0"),
        (["smoke", "--gpus-per-run", "1.5"], "must be from 0 to 1, or a whole number, not 1.5"),
        (["smoke", "--gpus-per-run", "nan"], "must be from 0 to 1"),
        (["smoke", "--only", "lift-*"], "--only lift-*: no such run"),
        (["smoke", "--max-minutes", "0"], "must be above 0"),
        (["smoky"], "unknown suite 'smoky'"),
        ([], "required: SUITE"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, monkeypatch, arguments, message):
    from driftpolicy.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(["benchmark", "run", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_a_second_driver_is_kept_out(tmp_path, capsys, monkeypatch):
    from driftpolicy.cli import main

    monkeypatch.chdir(tmp_path)
    with RunFolder(tmp_path / "runs" / "smoke").lock():
        assert main(["benchmark", "run", "smoke"]) == 2
    assert capsys.readouterr().err == "dfp: another process is running in runs/smoke\n"
