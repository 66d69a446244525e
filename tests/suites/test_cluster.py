"""Ray: a two-machine cluster on this machine, whose runs are light."""

import importlib.util
import os
import signal
from pathlib import Path

import pytest

if importlib.util.find_spec("ray") is None:  # not imported here: the package sets Ray up first
    pytest.skip("needs Ray: uv sync --extra benchmark", allow_module_level=True)

from driftpolicy.cli import main
from driftpolicy.errors import UserError
from driftpolicy.suites import driver as driving
from driftpolicy.suites.cluster import RayMachines
from driftpolicy.suites.driver import Driver
from tests.suites.common import TASK, Reports, cells
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.ray]

LIGHT = (str(Path(__file__).with_name("light_run.py")),)


@pytest.fixture(scope="module")
def cluster():
    from driftpolicy.suites.cluster import quiet_ray

    quiet_ray()
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # by itself Ray gives way to whatever else runs
        # As started by a script in the background: what it starts ignores interrupts.
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        signal.signal(signal.SIGINT, handler)
        yield cluster
        cluster.shutdown()


@pytest.fixture(scope="module")
def machines(cluster):
    machines = RayMachines(cluster.address, program=LIGHT)
    yield machines
    machines.close()


@pytest.fixture
def driver(tmp_path, monkeypatch):
    monkeypatch.setattr(driving, "_TICK_S", 0.1)
    monkeypatch.setattr(driving, "_LOOK_S", 0.3)
    reports = Reports()
    driver = Driver(cells(), tmp_path, reports)
    driver.reports = reports
    return driver


def order(driver: Driver, seed: int, what: str) -> Path:
    folder = driver.jobs[seed].folder.path
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "orders").write_text(what)
    return folder


def starts(folder: Path) -> list[list[int]]:
    """Process, first step and threads of each start."""
    path = folder / "starts"
    lines = path.read_text().splitlines() if path.exists() else []
    return [[int(word) for word in line.split()] for line in lines]


def alive(process: int) -> bool:
    """Whether it runs; one that ended and was not waited for does not."""
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_failing_run_is_tried_again_and_reported_while_the_rest_is_done(driver, machines):
    folder = order(driver, 1, "fail")
    driver.run(machines, lambda: False)
    assert [job.state for job in driver.jobs] == ["finished", "failed", "finished"]
    assert len(starts(folder)) == driving.ATTEMPTS
    assert driver.jobs[1].error == "dfp: the loss is not finite"
    assert driver.jobs[1].log.read_text().count("not finite") == driving.ATTEMPTS
    assert all(threads == 1 for _, _, threads in starts(folder))


def test_a_killed_process_goes_on_from_its_checkpoint(driver, machines):
    folder = order(driver, 0, "wait")

    def kill_once(_: Driver) -> None:
        if (folder / "orders").exists() and driver.jobs[0].seen.step == 12:
            process = starts(folder)[0][0]
            os.kill(process, signal.SIGKILL)
            wait_until(lambda: not alive(process))
            (folder / "orders").unlink()

    driver.reports.at_tick = kill_once
    driver.run(machines, lambda: False)
    assert driver.count("finished") == 3
    assert [step for _, step, _ in starts(folder)] == [0, 10]
    assert driver.jobs[0].error == "killed by SIGKILL"
    assert (0, "ended early") in driver.reports.words


def test_stopped_it_returns_when_the_runs_have_saved_their_state(driver, machines):
    folder = order(driver, 0, "wait")
    driver.run(machines, lambda: driver.jobs[0].seen.step == 12)
    assert [job.state for job in driver.jobs] == ["waiting"] * 3
    assert (folder / "checkpoints" / "step-0000000012.npz").exists()
    assert not driver.jobs[1].folder.path.exists()


def test_sigterm_stops_the_runs_and_then_the_command(tmp_path, machines, monkeypatch, capsys):
    monkeypatch.setattr("driftpolicy.suites.cluster.RayMachines", lambda *_, **__: machines)
    monkeypatch.setattr(machines, "close", lambda: None)
    monkeypatch.setattr(driving, "_TICK_S", 0.1)
    (tmp_path / "data.npz").touch()
    suite = tmp_path / "mine.toml"
    suite.write_text(
        f'tasks = ["{TASK}"]\nmethods = ["dfp"]\nseeds = [0]\n[overrides]\n'
        f'offline_steps = 20\nonline_steps = 0\ndata = "{tmp_path}/data.npz"\n'
    )
    folder = tmp_path / "runs" / TASK / "dfp" / "seed0"
    folder.mkdir(parents=True)
    (folder / "orders").write_text("wait")
    look = Driver._look

    def terminate_once(driver: Driver) -> None:
        look(driver)
        waits = (folder / "orders").exists() and driver.jobs[0].seen.step == 12
        if waits and not driver.stopping:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Driver, "_look", terminate_once)
    command = ["benchmark", "run", str(suite), "--out", str(tmp_path / "runs")]
    assert main(command) == 128 + signal.SIGTERM
    assert (folder / "checkpoints" / "step-0000000012.npz").exists()
    out, err = capsys.readouterr()
    assert "Stopped by SIGTERM; the same command goes on" in out
    assert err == ""
    (folder / "orders").unlink()
    assert main(command) == 0
    assert [step for _, step, _ in starts(folder)] == [0, 12]
    assert "seed0 continued from step 12" in capsys.readouterr().out


def test_a_lost_machine_s_runs_go_on_elsewhere(driver, machines, cluster):
    second = cluster.add_node(num_cpus=1)
    wait_until(lambda: machines.slots() == 2)
    folders = [order(driver, seed, "wait") for seed in (0, 1)]

    lost = []

    def remove_once(_: Driver) -> None:
        if not lost and all(job.seen.step == 12 for job in driver.jobs[:2]):
            lost.append(second)
            cluster.remove_node(second, allow_graceful=False)
        if lost and not all(alive(starts(folder)[0][0]) for folder in folders):
            for folder in folders:  # the process went with its machine: now all may go on
                (folder / "orders").unlink(missing_ok=True)

    driver.reports.at_tick = remove_once
    driver.run(machines, lambda: False)
    assert driver.count("finished") == 3
    wait_until(lambda: machines.slots() == 1)  # it takes Ray some seconds to be sure
    begun = sorted(step for folder in folders for _, step, _ in starts(folder))
    assert begun == [0, 0, 12]  # it got SIGTERM, and saved its state
    assert "lost" in driver.jobs[0].error + driver.jobs[1].error


def test_a_run_too_large_for_every_machine_is_refused(cluster, machines):
    machines.close()  # a process has one connection: last in this file
    with pytest.raises(UserError, match="no machine of the cluster has 7 CPUs"):
        RayMachines(cluster.address, cpus_per_run=7)
