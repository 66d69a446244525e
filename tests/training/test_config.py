"""Configs: one source of defaults, saved in full, checked at once."""

import dataclasses

import pytest

from driftpolicy.agents import DFPConfig
from driftpolicy.errors import UserError
from driftpolicy.training.config import TrainConfig, resolve
from driftpolicy.training.presets import BENCHMARKS, PRESETS

TASK = "cube-double-play-singletask-task2-v0"


def test_the_paper_is_the_default():
    config = resolve(TASK, "dfp", "paper", {})
    assert config == TrainConfig(task=TASK, agent=DFPConfig())
    assert (config.offline_steps, config.online_steps, config.warmup_steps) == (10**6, 10**6, 5000)
    assert (config.batch_size, config.eval_every, config.eval_episodes) == (256, 100_000, 50)
    agent = config.agent
    assert isinstance(agent, DFPConfig)
    assert (agent.candidates, agent.positives, agent.generated, agent.best_of) == (16, 4, 8, 16)
    assert (agent.discount, agent.learning_rate, agent.target_rate) == (0.99, 3e-4, 5e-3)
    assert (agent.improvement_weight, agent.anchor_rate, agent.temperatures) == (0.5, 1e-4, (0.05,))
    assert (agent.actor_hidden, agent.critic_hidden, agent.critics) == ((512,) * 4, (512,) * 4, 2)


def test_robomimic_differs_where_the_paper_says():
    fields = BENCHMARKS["robomimic", "dfp"]
    config = DFPConfig(**fields)
    assert (config.positives, config.best_of, config.temperatures) == (2, 4, (0.005, 0.05))


@pytest.mark.parametrize("preset", list(PRESETS))
def test_json_round_trip(preset):
    config = resolve(TASK, "dfp", preset, {"temperatures": (0.1, 0.2), "loggers": ("wandb",)})
    assert TrainConfig.from_json(config.to_json()) == config


def test_overrides_win_and_reach_both_configs():
    config = resolve(None, "dfp", "quickstart", {"seed": 7, "discount": 0.9})
    assert config.task == "cube-single-play-singletask-task1-v0"
    assert (config.seed, config.agent.discount) == (7, 0.9)
    assert config.agent.learning_rate == PRESETS["quickstart"]["learning_rate"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"batch_size": 0}, "--batch-size must be at least 1, not 0"),
        ({"offline_steps": -1}, "--offline-steps must be at least 0, not -1"),
        ({"discount": 1.5}, "--discount must be in"),
        ({"learning_rate": float("nan")}, "--learning-rate must be"),
        ({"positives": 17}, r"--positives must be between 1 and --candidates \(16\), not 17"),
        ({"temperatures": (0.1, 0.0)}, "--temperatures must be"),
        ({"replay_capacity": 3}, "--replay-capacity must be at least 7"),
        ({"loggers": ("telegraph",)}, "--loggers must be among tensorboard, wandb"),
        ({"critic_hidden": ()}, "--critic-hidden must be"),
        ({"flavour": 1}, "dfp has no setting flavour"),
    ],
)
def test_values_out_of_range_are_named(overrides, message):
    with pytest.raises(UserError, match=message) as raised:
        resolve(TASK, "dfp", "paper", overrides)
    assert "\n" not in str(raised.value)


def test_unknown_names():
    with pytest.raises(UserError, match="nearest: cube-double-play-singletask-task2-v0"):
        resolve("cube-double-play-singletask-task2", "dfp", "paper", {})
    with pytest.raises(UserError, match="unknown method 'ppo'; known: dfp"):
        resolve(TASK, "ppo", "paper", {})
    with pytest.raises(UserError, match="unknown preset 'big'; known: quickstart, small, paper"):
        resolve(TASK, "dfp", "big", {})
    with pytest.raises(UserError, match="name a task"):
        resolve(None, "dfp", "paper", {})


def test_a_config_of_another_version_is_refused():
    text = resolve(TASK, "dfp", "paper", {}).to_json()
    for broken in (text[:40], text.replace('"seed"', '"seeds"'), "[]", "{}"):
        with pytest.raises(UserError, match="damaged or of another version"):
            TrainConfig.from_json(broken)


def test_every_field_says_what_it_means():
    from driftpolicy.cli.options import _field_docstrings

    for config in (TrainConfig, DFPConfig):
        meanings = _field_docstrings(config)
        for field in dataclasses.fields(config):
            assert meanings.get(field.name), f"{config.__name__}.{field.name} has no docstring"
