"""Settings from files: their layers, where each comes from, and what is refused."""

import dataclasses
import json
from pathlib import Path

import pytest

from driftpolicy.agents import METHODS
from driftpolicy.config import TrainConfig, resolve
from driftpolicy.errors import FieldError, UserError
from driftpolicy.presets import PRESETS
from driftpolicy.settings import SettingsFile, settle

TASK = "cube-double-play-singletask-task2-v0"


def written(folder: Path, text: str, name: str = "run.toml") -> SettingsFile:
    path = folder / name
    path.write_text(text)
    return SettingsFile.read(path)


def test_each_layer_wins_over_those_below_it(tmp_path):
    file = written(
        tmp_path,
        """
        # Comments are allowed.
        task = "lift-mh-low_dim"
        preset = "small"
        batch_size = 32
        eval_every = 7
        [agent]
        learning_rate = 1      # a whole number stands for itself
        temperatures = [0.5, 1]
        """,
    )
    settled = settle(None, None, None, {"eval_every": 9, "best_of": 2}, file=file)
    config, origins = settled.config, settled.origins
    assert (config.task, config.method) == ("lift-mh-low_dim", "dfp")
    assert (config.batch_size, config.eval_every, config.online_steps) == (32, 9, 12_000)
    assert (config.agent.learning_rate, config.agent.temperatures) == (1.0, (0.5, 1.0))
    assert (config.agent.best_of, config.agent.positives) == (2, 2)
    expected = {
        "task": "file run.toml",
        "method": "default",
        "batch_size": "file run.toml",
        "eval_every": "flag",
        "online_steps": "preset small",
        "eval_episodes": "default",
        "learning_rate": "file run.toml",
        "best_of": "flag",
        "positives": "paper's table",
        "discount": "default",
    }
    assert {name: origins[name] for name in expected} == expected


def test_names_in_the_arguments_win_over_the_files(tmp_path):
    file = written(tmp_path, f'task = "{TASK}"\nmethod = "iql"\npreset = "small"')
    settled = settle("lift-mh-low_dim", "fql", "paper", {}, file=file)
    assert settled.config == resolve("lift-mh-low_dim", "fql", "paper", {})
    assert (settled.origins["task"], settled.origins["method"]) == ("flag", "flag")


def test_what_the_machine_asks_for_wins_over_the_preset_alone(tmp_path):
    file = written(tmp_path, "num_envs = 3")
    one = settle(TASK, None, None, {}, machine={"num_envs": 8})
    assert (one.config.num_envs, one.origins["num_envs"]) == (8, "this machine")
    assert settle(TASK, None, None, {}, file=file, machine={"num_envs": 8}).config.num_envs == 3


@pytest.mark.parametrize("preset", list(PRESETS))
@pytest.mark.parametrize("method", list(METHODS))
def test_the_settings_of_a_run_are_a_file_of_it(tmp_path, method, preset):
    """Both what a dry run prints and ``config.json`` make the same run, whatever the preset."""
    settled = settle(TASK, method, preset, {"data": 'a "b"\\\x7f\t#ü', "online_share": 1e-7})
    assert all(line.count("  # ") for line in settled.to_toml().splitlines() if " = " in line)
    again = written(tmp_path, settled.to_toml())
    assert settle(None, None, None, {}, file=again).config == settled.config
    saved = written(tmp_path, settled.config.to_json(), "config.json")
    assert settle(None, None, None, {}, file=saved).config == settled.config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch_sise = 3", "'batch_sise' is not among the settings; nearest: batch_size"),
        ("[agent]\nbest = 3", "'best' is not among the settings of dfp; nearest: best_of"),
        ("best_of = 3", "best_of belongs into the table [agent]"),
        ("agent = 3", "agent must be a table"),
        ("task = 3", "task must be a text, not 3"),
        ("seed = true", "seed must be a whole number, not True"),
        ("seed = 1.0", "seed must be a whole number, not 1.0"),
        ("video = 1", "video must be true or false, not 1"),
        ('online_share = "half"', "online_share must be a number, not 'half'"),
        ("loggers = 'wandb'", "loggers must be a list, each a text, not 'wandb'"),
        ("[agent]\nactor_hidden = [8, 8.5]", "actor_hidden must be a list, each a whole number"),
        ('phase = "both"', "phase must be one of offline-to-online, offline-rl, not 'both'"),
        ("batch_size = 0", "batch_size must be at least 1, not 0"),
        ("[agent]\ndiscount = nan", "discount must be in (0, 1], not nan"),
        ("seed = ", "is no TOML file"),
        ("seed = 1\nseed = 2", "is no TOML file"),
    ],
)
def test_mistakes_in_a_file_are_named_with_it(tmp_path, text, message):
    with pytest.raises(UserError) as caught:
        settle(TASK, None, None, {}, file=written(tmp_path, text))
    assert str(tmp_path / "run.toml") in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"seed": 1, "seed": 2}', "seed is there twice"),
        ("[1]", "holds no settings"),
        ("{", "is no JSON file"),
        ("[" * 100_000, "is no JSON file"),
    ],
)
def test_mistakes_in_json(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        written(tmp_path, text, "config.json")


def test_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "none.toml", tmp_path, tmp_path / "bytes.toml"):
        with pytest.raises(UserError, match=str(path)):
            SettingsFile.read(path)


def test_a_flag_out_of_range_is_not_the_files_mistake(tmp_path):
    with pytest.raises(FieldError):
        settle(TASK, None, None, {"seed": -1}, file=written(tmp_path, "seed = 3"))


def test_every_type_of_a_setting_has_words(tmp_path):
    for config in (TrainConfig, *(method.config for method in METHODS.values())):
        for field in dataclasses.fields(config):
            if field.name in ("task", "method", "agent"):
                continue
            table = {field.name: {"no": "setting"}}
            table = table if config is TrainConfig else {"agent": table}
            method = next((n for n, m in METHODS.items() if m.config is config), None)
            with pytest.raises(UserError, match=f"{field.name} must be"):
                settle(
                    TASK, method, None, {}, file=written(tmp_path, json.dumps(table), "run.json")
                )


def test_settings_of_another_method_are_named_as_such(tmp_path):
    file = written(tmp_path, 'method = "dfp"\n[agent]\npositives = 2')
    with pytest.raises(UserError, match="positives is a setting of dfp, which fql does not have"):
        settle(TASK, "fql", None, {}, file=file)
