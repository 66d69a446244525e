"""Configs: one source of defaults, saved in full, checked at once."""

import dataclasses
import json

import numpy as np
import pytest

from driftpolicy.agents import METHODS, DFPConfig
from driftpolicy.config import FREE_FIELDS, TrainConfig, resolve
from driftpolicy.errors import FieldError, UserError
from driftpolicy.fields import require_types
from driftpolicy.presets import PRESETS, published_settings
from driftpolicy.tasks.registry import find_task

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


def test_what_may_change_in_mid_run_are_settings():
    assert {field.name for field in dataclasses.fields(TrainConfig)} >= FREE_FIELDS


def task_of(family, number=2):
    return f"{family}-play-singletask-task{number}-v0"


def test_each_method_has_the_papers_defaults():
    """By name: chunk length, decisions to choose from, lambda."""
    expected = {
        "bfn": (1, 4, None),
        "qc-bfn": (5, 32, None),
        "fql": (1, 1, None),
        "qc-fql": (5, 1, None),
        "mvp": (5, 16, 0.0),
        "mvp-topk": (5, 16, 0.5),
        "dfp-bc": (5, 16, 0.0),
        "dfp": (5, 16, 0.5),
        "bc": (1, 1, None),
        "iql": (1, 1, None),
    }
    assert list(expected) == list(METHODS)
    for method, values in expected.items():
        agent = resolve(TASK, method, "paper", {}).agent
        weight = getattr(agent, "improvement_weight", None)
        assert (agent.chunk_length, agent.best_of, weight) == values, method


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("preset", list(PRESETS))
def test_every_method_runs_on_every_preset(method, preset):
    config = resolve(TASK, method, preset, {})
    assert isinstance(config.agent, METHODS[method][1])
    assert TrainConfig.from_json(config.to_json()) == config


def test_a_preset_may_mean_one_benchmark():
    for task, temperatures in (("lift-mh-low_dim", (0.05, 0.5)), (TASK, (0.05,))):
        assert resolve(task, "dfp", "small", {}).agent.temperatures == temperatures
        assert resolve(task, "dfp-bc", "small", {}).agent.temperatures == temperatures
    for method in METHODS:  # one budget for all methods of a benchmark
        config = resolve("lift-mh-low_dim", method, "small", {})
        budget = (config.offline_steps, config.online_steps, config.agent.decay_steps)
        assert budget == (6_000, 12_000, 18_000)
        assert resolve(TASK, method, "small", {}).online_steps == 6_000


@pytest.mark.parametrize("preset", ["quickstart", "small", "short"])
def test_the_step_size_falls_over_the_whole_run(preset):
    """However long it is asked to be, unless the fall is asked for too."""
    for steps in ({}, {"online_steps": 7}, {"offline_steps": 3, "online_steps": 0}):
        config = resolve(TASK, "dfp", preset, steps)
        assert config.agent.decay_steps == config.total_steps
    with pytest.raises(FieldError, match="online_steps must be at least 0, not -99999"):
        resolve(TASK, "dfp", preset, {"online_steps": -99_999})
    assert resolve(TASK, "dfp", preset, {"decay_steps": 5}).agent.decay_steps == 5
    assert resolve(TASK, "dfp", "paper", {}).agent.decay_steps == 0


@pytest.mark.parametrize("preset", ["quickstart", "small", "short"])
def test_presets_change_no_methods_nature(preset):
    """What improves, and what decides by one sample, does so on every preset."""
    for method in METHODS:
        agent, published = (resolve(TASK, method, p, {}).agent for p in (preset, "paper"))
        for name in ("improvement_weight", "best_of", "chunk_length"):
            ours, theirs = (getattr(a, name, None) for a in (agent, published))
            assert (ours in (None, 0, 1)) == (theirs in (None, 0, 1)), (method, name)


def test_benchmarks_differ_where_the_papers_say():
    for method in ("dfp", "dfp-bc"):
        config = DFPConfig(**published_settings(method, find_task("lift-mh-low_dim"), "offline"))
        assert (config.positives, config.best_of, config.temperatures) == (2, 4, (0.005, 0.05))
    assert published_settings("mvp", find_task("can-mh-low_dim"), "offline") == {"best_of": 4}
    for method in ("mvp", "mvp-topk"):
        weights = {
            family: resolve(task_of(family), method, "paper", {}).agent.constraint_weight
            for family in ("cube-double", "cube-triple", "cube-quadruple")
        }
        assert weights == {"cube-double": 1.0, "cube-triple": 0.0, "cube-quadruple": 1.0}
    for method in ("fql", "qc-fql"):
        weights = {
            family: resolve(task_of(family), method, "paper", {}).agent.distillation_weight
            for family in ("cube-triple", "scene", "puzzle-3x3")
        }
        assert weights == {"cube-triple": 100.0, "scene": 300.0, "puzzle-3x3": 1000.0}


@pytest.mark.parametrize(
    ("task", "weight", "temperatures", "candidates", "positives"),
    [
        (task_of("cube-single"), 0.45, (0.05,), 16, 8),
        (task_of("cube-double"), 0.55, (0.05,), 16, 8),
        (task_of("scene"), 0.5, (0.01, 0.05), 16, 8),
        (task_of("puzzle-3x3", 4), 0.5, (0.01, 0.05), 16, 8),
        (task_of("puzzle-4x4", 4), 0.5, (0.01, 0.05), 32, 16),
    ],
)
def test_offline_rl_is_the_papers_setting(task, weight, temperatures, candidates, positives):
    """arXiv 2605.07727, Tables 7 and 8; a preset changes its size, not what it is."""
    for preset in ("paper", "quickstart"):
        config = resolve(task, "dfp", preset, {"phase": "offline-rl"})
        assert config.online_steps == 0
        assert (config.agent.chunk_length, config.agent.best_of) == (1, 1)
    agent = resolve(task, "dfp", "paper", {"phase": "offline-rl"}).agent
    assert (agent.improvement_weight, agent.temperatures) == (weight, temperatures)
    assert (agent.candidates, agent.positives) == (candidates, positives)
    own = {"phase": "offline-rl", "best_of": 4}
    assert resolve(task, "dfp", "paper", own).agent.best_of == 4
    fql = resolve(task_of("cube-single"), "fql", "paper", {"phase": "offline-rl"})
    assert fql.agent.distillation_weight == 300.0


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
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"offline_steps": -1}, "offline_steps must be at least 0, not -1"),
        ({"discount": 1.5}, "discount must be in"),
        ({"learning_rate": float("nan")}, "learning_rate must be"),
        ({"positives": 17}, r"positives must be between 1 and candidates \(16\), not 17"),
        ({"temperatures": (0.1, 0.0)}, "temperatures must be"),
        ({"replay_capacity": 3}, "replay_capacity must be at least 7"),
        ({"loggers": ("telegraph",)}, "loggers must be among tensorboard, wandb"),
        ({"critic_hidden": ()}, "critic_hidden must be"),
        (
            {"phase": "offline-rl", "online_steps": 5},
            "online_steps must be 0 in the phase offline-rl, not 5",
        ),
        ({"flavour": 1}, "dfp has no setting flavour"),
        ({"agent": {"best_of": 4}}, "dfp has no setting agent"),
        ({"batch": 1}, "dfp has no setting batch; nearest: batch_size"),
    ],
)
def test_values_out_of_range_are_named(overrides, message):
    with pytest.raises(UserError, match=message) as raised:
        resolve(TASK, "dfp", "paper", overrides)
    assert "\n" not in str(raised.value)


def test_unknown_names():
    with pytest.raises(UserError, match="nearest: cube-double-play-singletask-task2-v0"):
        resolve("cube-double-play-singletask-task2", "dfp", "paper", {})
    with pytest.raises(UserError, match="unknown method 'ppo'; known: bfn, qc-bfn, "):
        resolve(TASK, "ppo", "paper", {})
    with pytest.raises(UserError, match="unknown preset 'big'; known: quickstart, small, short"):
        resolve(TASK, "dfp", "big", {})
    with pytest.raises(UserError, match="name a task"):
        resolve(None, "dfp", "paper", {})


def test_a_config_of_another_version_is_refused():
    text = resolve(TASK, "dfp", "paper", {}).to_json()
    damaged = [
        text.replace(*pair) for pair in (('"seed"', '"seeds"'), ("256", "25.6"), ("0.99", '"0.9"'))
    ]
    for broken in (text[:40], *damaged, "[]", "{}"):
        with pytest.raises(UserError, match="damaged or of another version"):
            TrainConfig.from_json(broken)


def test_every_field_says_what_it_means():
    from driftpolicy.cli.options import _field_docstrings

    for config in (TrainConfig, *(config for _, config in METHODS.values())):
        meanings = _field_docstrings(config)
        for field in dataclasses.fields(config):
            assert meanings.get(field.name), f"{config.__name__}.{field.name} has no docstring"


def test_columns_are_kept_and_may_be_missing():
    """A run of before there were any has none in its config."""
    chosen = {"columns": ("observation=a,b", "action=c")}
    config = resolve("gymnasium:Reacher-v5", "dfp", "paper", chosen)
    text = config.to_json()
    assert TrainConfig.from_json(text) == config
    custom = config.configured_task().custom
    assert custom is not None
    assert custom.columns == config.columns
    fields = json.loads(text)
    del fields["columns"]
    assert TrainConfig.from_json(json.dumps(fields)).columns == ()
    with pytest.raises(FieldError, match="columns must be given as"):
        TrainConfig(task="gymnasium:Reacher-v5", columns=("a",))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": "1"}, "seed must be a whole number, not '1'"),
        ({"seed": True}, "seed must be a whole number, not True"),
        ({"seed": -1}, "seed must be from 0 to 4294967295, not -1"),
        ({"seed": 2**32}, "seed must be from 0 to 4294967295, not 4294967296"),
        ({"batch_size": 64.0}, "batch_size must be a whole number, not 64.0"),
        ({"online_share": "half"}, "online_share must be a number, not 'half'"),
        ({"actor_hidden": 256}, "actor_hidden must be a list, each a whole number, not 256"),
        ({"video": "no"}, "video must be true or false, not 'no'"),
        ({"critic_aggregation": "max"}, "critic_aggregation must be one of mean, min"),
        ({"critic_aggregation": []}, r"critic_aggregation must be one of mean, min.*, not \[\]"),
        ({"data": 3}, "data must be a text, not 3"),
        ({"data_mask": "better"}, f"data_mask must be left out: the files of {TASK} have no masks"),
    ],
)
def test_values_of_another_type_are_refused(given, message):
    with pytest.raises(UserError, match=message):
        resolve(TASK, "dfp", "paper", given)


def test_each_item_of_a_tuple_has_its_type():
    @dataclasses.dataclass
    class Own:
        pair: tuple[float, str] = (0.5, "a")

    assert require_types({"pair": [1, "b"]}, Own) == {"pair": (1.0, "b")}
    for pair in ([1.0, 2.0], [1.0], [1.0, "b", "c"], []):
        with pytest.raises(FieldError, match="pair must be a list of 2: a number, a text, not"):
            require_types({"pair": pair}, Own)


def test_values_of_python_are_taken_in_the_types_of_the_fields(tmp_path):
    config = resolve(
        TASK,
        "dfp",
        "paper",
        {
            "seed": np.int64(3),
            "online_share": np.float32(0.5),
            "actor_hidden": [np.int32(8), 16],
            "critic_hidden": np.array([8, 16]),
            "temperatures": (1, 0.05),
            "improvement_weight": 1,
            "data": tmp_path,
        },
    )
    assert (config.seed, config.online_share, config.data) == (3, 0.5, str(tmp_path))
    assert (type(config.seed), type(config.online_share)) == (int, float)
    assert config.agent.actor_hidden == config.agent.critic_hidden == (8, 16)
    assert [type(width) for width in config.agent.critic_hidden] == [int, int]
    assert config.agent.temperatures == (1.0, 0.05)
    assert TrainConfig.from_json(config.to_json()) == config
