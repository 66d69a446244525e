"""Which runs of a suite share an offline phase, and who waits for whom."""

import pytest

from driftpolicy.suites import driver as driving
from driftpolicy.suites.driver import Driver
from driftpolicy.suites.sharing import offline_steps_made
from driftpolicy.suites.suite import Cell, find_suite, make_cell
from tests.suites.common import TASK, Reports
from tests.suites.test_driver import Machines, drive

END = "offline-end.npz"
STEPS = {"offline_steps": 10, "online_steps": 10}


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(driving, "_TICK_S", 0.0)
    monkeypatch.setattr(driving, "_LOOK_S", 0.0)


class Phased(Machines):
    """Machines on which a run's offline phase ends a tick before the run does."""

    def ended(self):
        ending = [folder for folder in self._running if (folder / "checkpoints" / END).exists()]
        for folder in self._running:
            (folder / "checkpoints").mkdir(exist_ok=True)
            (folder / "checkpoints" / END).touch()
        self._running = [folder for folder in self._running if folder not in ending]
        return [(folder, self._end(folder)) for folder in ending]


def cell(method: str, variant: str = "", **overrides) -> Cell:
    return make_cell(TASK, method, 0, variant=variant, overrides=STEPS | overrides)


def test_runs_that_differ_online_alone_share_their_offline_phase(tmp_path):
    """The first makes it; the others wait for its end, not for the run's, and take it over."""
    runs = [cell("dfp-bc"), cell("dfp"), cell("mvp")]
    runs.append(cell("dfp", "lambda=0.9", improvement_weight=0.9))
    driver = drive(tmp_path, Phased(slots=4), runs=runs)
    assert driver.count("finished") == 4
    configs = {job.cell.label: job.folder.config() for job in driver.jobs}
    source = str(runs[0].folder(tmp_path).path.resolve())
    taken = {label: config.offline_from for label, config in configs.items()}
    assert taken == {"dfp-bc": None, "dfp": source, "mvp": None, "dfp@lambda=0.9": source}
    assert [job.state for job in Driver(runs, tmp_path, Reports()).jobs] == ["finished"] * 4


def test_another_suite_in_the_same_folder_shares_too(tmp_path):
    drive(tmp_path, Phased(), runs=[cell("dfp")])
    driver = drive(tmp_path, Phased(), runs=[cell("dfp", "K=1", positives=1), cell("mvp")])
    source = str(cell("dfp").folder(tmp_path).path.resolve())
    assert [job.folder.config().offline_from for job in driver.jobs] == [source, None]


def test_an_offline_phase_that_fails_is_made_by_each(tmp_path):
    machines = Machines({0: ["no"] * driving.ATTEMPTS})
    driver = drive(tmp_path, machines, runs=[cell("dfp-bc"), cell("dfp")])
    assert [job.state for job in driver.jobs] == ["failed", "finished"]
    assert driver.jobs[1].folder.config().offline_from is None


@pytest.mark.parametrize(
    ("names", "alone", "shared"),
    [
        (("paper",), 360, 360),
        (("lambda",), 60, 15),
        (("k",), 240, 60),
        (("paper", "paper-ablations", "lambda", "k"), 780, 360),
    ],
)
def test_what_the_papers_suites_save(names, alone, shared):
    """In millions of offline steps, as docs/reproducing.md says."""
    configs = [cell.config for name in names for cell in find_suite(name).cells]
    assert offline_steps_made(configs) == (alone * 1_000_000, shared * 1_000_000)


def test_remedies_that_act_online_share_an_offline_phase():
    """One per seed for all of them, and one for each remedy that changes the offline phase."""
    configs = [cell.config for cell in find_suite("remedies").cells]
    alone, phases = 72 * 25_000 + 6 * 20_000, (4 * 3 + 2) * 25_000 + 3 * 20_000
    assert offline_steps_made(configs) == (alone, phases)
