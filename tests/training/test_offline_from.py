"""A run that begins where another's offline phase ended is the run that made its own."""

import pytest

from driftpolicy.config import resolve
from driftpolicy.errors import UserError
from driftpolicy.runs.folder import RunFolder
from driftpolicy.training.offline_from import offline_settings

from .conftest import TASK, assert_same_run, run_to_end, tiny, trainer_of

BRIEF = {"online_steps": 30, "warmup_steps": 5, "eval_episodes": 1}


@pytest.fixture(scope="module")
def cloned(data_file, dataset, workers, tmp_path_factory):
    """A run without improvement, whose offline phase others take over."""
    path = tmp_path_factory.mktemp("cloned") / "seed0"
    config = tiny(data_file, "dfp-bc", **BRIEF)
    return run_to_end(config, path, dataset, workers)[0]


@pytest.mark.slow
@pytest.mark.simulator
@pytest.mark.parametrize("settings", [{}, {"shrinkage": "members"}])
def test_it_is_the_run_that_made_its_own_offline_phase(
    data_file, dataset, workers, cloned, tmp_path, settings
):
    """To the last bit, also if it logs more, or stops before its first checkpoint."""
    settings = BRIEF | settings
    alone = run_to_end(tiny(data_file, **settings), tmp_path / "alone", dataset, workers)
    place = str(cloned.path.parent / "seed{seed}")
    config = tiny(data_file, offline_from=place, **settings)
    folder = RunFolder(tmp_path / "shared")
    unsaved = trainer_of(config, folder, dataset, workers)
    assert unsaved.step == config.offline_steps
    unsaved.close()
    stops = iter([False, False, True])
    shared = run_to_end(config, folder.path, dataset, workers, stop=lambda: next(stops, False))
    assert shared[2] == 2
    assert_same_run(shared[:2], alone[:2])
    assert not list(folder.path.glob("*.damaged"))


@pytest.mark.slow
@pytest.mark.simulator
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": 1}, "the offline phase of .* is another: its seed is 0, this run's 1"),
        ({"learning_rate": 1e-3}, r"its learning_rate is 0\.0003, this run's 0\.001"),
        ({"offline_steps": 59}, "its offline_steps is 60, this run's 59"),
        ({"method": "mvp"}, "its .* is "),
    ],
)
def test_another_offline_phase_is_refused(
    data_file, dataset, workers, cloned, tmp_path, settings, message
):
    settings = BRIEF | settings
    config = tiny(
        data_file, settings.pop("method", "dfp"), offline_from=str(cloned.path), **settings
    )
    with pytest.raises(UserError, match=message) as raised:
        trainer_of(config, RunFolder(tmp_path / "run"), dataset, workers)
    assert "\n" not in str(raised.value)


@pytest.mark.slow
@pytest.mark.simulator
def test_other_data_and_no_offline_phase_are_refused(data_file, dataset, workers, cloned, tmp_path):
    config = tiny(data_file, offline_from=str(cloned.path), **BRIEF)
    with pytest.raises(UserError, match="was trained on other prior data"):
        trainer_of(config, RunFolder(tmp_path / "run"), dataset, workers, data_id="others")
    config = tiny(data_file, offline_from=str(tmp_path / "nowhere"), **BRIEF)
    with pytest.raises(UserError, match="holds no state from the end of an offline phase"):
        trainer_of(config, RunFolder(tmp_path / "other"), dataset, workers)


def settings_of(method, **overrides):
    return offline_settings(resolve(TASK, method, "paper", overrides))


def test_what_changes_nothing_offline_is_shared():
    """The methods and sweeps of the paper's suites that differ online alone, and those that do."""
    assert settings_of("dfp") == settings_of("dfp-bc")
    assert settings_of("mvp") == settings_of("mvp-topk")
    assert settings_of("dfp") == settings_of("dfp", improvement_weight=0.9, positives=2)
    assert settings_of("dfp") == settings_of(
        "dfp", anchor_steps=7, ramp_steps=7, shrinkage="members"
    )
    assert settings_of("dfp") == settings_of("dfp", online_steps=7, num_envs=4, online_share=0.5)
    assert settings_of("dfp") != settings_of("mvp")
    assert settings_of("dfp") != settings_of("dfp", best_of=4)
    assert settings_of("dfp") != settings_of("dfp", temperatures=(0.1,))
    assert settings_of("dfp") != settings_of("dfp", shared_positives=8)
    assert settings_of("dfp") != settings_of("dfp", form="sinkhorn")
    assert settings_of("bfn") != settings_of("qc-bfn")


def test_a_users_methods_of_one_name_are_others(tmp_path):
    source = (
        "from driftpolicy.agents import DFP, DFPConfig\nclass Mine(DFP):\n    Config = DFPConfig\n"
    )
    for name in ("one.py", "other.py"):
        (tmp_path / name).write_text(source)
    one, other = (f"{tmp_path}/{name}:Mine" for name in ("one.py", "other.py"))
    assert settings_of(one) == settings_of(one)
    assert settings_of(one)["method"] == one
    assert settings_of(one) != settings_of(other)
    assert settings_of(one) != settings_of("dfp")
