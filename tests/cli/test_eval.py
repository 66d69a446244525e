"""``dfp eval``: interrupted, it goes on where it was."""

from pathlib import Path

import jax
import pytest

from driftpolicy.cli import main
from driftpolicy.config import resolve
from driftpolicy.progress import JobProgress
from driftpolicy.runs.checkpoints import Checkpoint
from driftpolicy.runs.trees import tree_arrays
from driftpolicy.scaling import Scaling
from driftpolicy.training import evaluation
from driftpolicy.training.diagnosis.experience import Explorer
from driftpolicy.training.restore import new_agent
from tests.tasks.custom import own

NAME = "unfinished-evaluation.npz"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run that was never trained, in an environment that takes no time."""
    task = f"gymnasium:{Path(own.__file__)}:make"
    small = {"actor_hidden": (8,), "critic_hidden": (8,), "best_of": 2, "processes": 1}
    config = resolve(task, "dfp", "paper", {**small, "data": "x.npz"})
    scaling = Scaling(
        observation_mean=(0.0, 0.0),
        observation_deviation=(1.0, 1.0),
        action_low=(-0.5, -2.0),
        action_high=(0.5, 4.0),
    )
    folder = tmp_path_factory.mktemp("run")
    agent = tree_arrays(new_agent(config, 2, 2, jax.random.key(0)))
    Checkpoint(
        config=config,
        data_id="0badf00d",
        step=12,
        online=False,
        observation_dim=2,
        action_dim=2,
        scaling=scaling,
        agent=agent,
    ).save(folder / "checkpoints")
    return folder


@pytest.fixture
def asked(monkeypatch) -> list[int]:
    """The numbers of episodes known when evaluations began."""
    known: list[int] = []
    evaluate = evaluation.evaluate

    def counting(*arguments, **settings):
        known.append(len(settings["known"]))
        return evaluate(*arguments, **settings)

    monkeypatch.setattr(evaluation, "evaluate", counting)
    return known


@pytest.mark.parametrize(
    ("flags", "left_out"),
    [
        (["--csv", "numbers.csv"], "--csv"),
        (["--diagnose", "--best-of", "4"], "--best-of"),
        (["--diagnose", "--processes", "2"], "--processes"),
        (["--diagnose", "--video", "film.mp4"], "--video"),
    ],
)
def test_flags_that_would_do_nothing_are_refused(run, flags, left_out, capsys):
    assert main(["eval", str(run), *flags]) == 2
    assert f"leave {left_out} out" in capsys.readouterr().err


@pytest.mark.slow
def test_an_interrupted_evaluation_goes_on(run, asked, capsys, monkeypatch):
    command = ["eval", str(run), "--episodes", "5"]
    assert main(command) == 0
    whole = capsys.readouterr().out
    update = JobProgress.update

    def interrupt(self, done, total=None):
        if done == 3:
            raise KeyboardInterrupt
        update(self, done, total)

    kept = run / "checkpoints" / NAME
    with monkeypatch.context() as patch:
        patch.setattr(JobProgress, "update", interrupt)
        assert main(command) == 130
    assert capsys.readouterr().err.endswith(
        "dfp: interrupted; the same command goes on from here\n"
    )
    assert kept.exists()
    assert main([*command, "--seed", "9"]) == 0  # another evaluation makes all of its episodes
    assert not kept.exists()
    with monkeypatch.context() as patch:
        patch.setattr(JobProgress, "update", interrupt)
        assert main(command) == 130
    capsys.readouterr()
    assert main(command) == 0
    assert capsys.readouterr().out == whole
    assert asked == [0, 0, 0, 0, 3]
    assert not kept.exists()


@pytest.mark.slow
def test_an_interrupted_diagnosis_goes_on(run, capsys, monkeypatch):
    command = ["eval", str(run), "--diagnose", "--episodes", "3", "--seed", "5"]
    assert main(command) == 0
    whole = capsys.readouterr().out
    update = JobProgress.update

    def interrupt(self, done, total=None):
        if done == 2:
            raise KeyboardInterrupt
        update(self, done, total)

    kept = run / "checkpoints" / "unfinished-diagnosis.npz"
    with monkeypatch.context() as patch:
        patch.setattr(JobProgress, "update", interrupt)
        assert main(command) == 130
    assert kept.exists()
    made = []
    play = Explorer._episode

    def counting(self, number, seed, branches):
        made.append(number)
        return play(self, number, seed, branches)

    monkeypatch.setattr(Explorer, "_episode", counting)
    capsys.readouterr()
    assert main(command) == 0
    assert capsys.readouterr().out == whole
    assert made == [2]
    assert not kept.exists()


@pytest.mark.slow
def test_an_environment_that_ignores_its_seed_is_told(run, capsys, monkeypatch):
    assert main(["eval", str(run), "--episodes", "2"]) == 0
    assert "two seeds" not in capsys.readouterr().out
    monkeypatch.setattr(evaluation, "seeds_matter", lambda workers, seed: False)
    assert main(["eval", str(run), "--episodes", "2"]) == 0
    assert "2 episodes may be one" in capsys.readouterr().out
