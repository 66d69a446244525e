"""Everything that decides a run, in one record that is saved with it."""

import dataclasses
import json
import math
from collections.abc import Collection, Mapping
from typing import Any, Literal

from driftpolicy.agents import AgentConfig, find_method
from driftpolicy.agents.config import choice, require
from driftpolicy.errors import FieldError, UserError, nearest
from driftpolicy.fields import require_types
from driftpolicy.presets import (
    OFFLINE_RL_PHASE,
    PRESET_PLACES,
    PRESETS,
    WHOLE_RUN,
    published_settings,
)
from driftpolicy.scaling import Scaling
from driftpolicy.tasks.custom.columns import parse_columns
from driftpolicy.tasks.registry import benchmark_of, find_task
from driftpolicy.tasks.task import CustomSettings, Task

LOGGERS = ("tensorboard", "wandb")
SEEDS = 2**32
"""How many there are: JAX's keys tell no more apart."""
_CUSTOM_FIELDS = tuple(
    field.name for field in dataclasses.fields(CustomSettings) if field.name != "scaling"
)
"""Settings of an environment of the user's own, which no benchmark's task takes."""
FREE_FIELDS = frozenset(
    (
        *("data", "data_cache", "skip_broken", "collect_episodes", "offline_from"),
        *("processes", "environment_timeout", "video", "loggers"),
    )
)
"""Settings that may change between a stop and a resume, since they change no number of a run. What
identifies the data is compared, not the place where they are found. The intervals of logging and
saving are not among them: they also cut the rounds in which several environments take turns."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides a run; the defaults are the protocol of arXiv 2605.07727."""

    task: str
    """The task's name (dfp tasks lists them)."""
    method: str = "dfp"
    """The method's name."""
    phase: Literal["offline-to-online", "offline-rl"] = "offline-to-online"
    """Imitate offline and improve online, or improve from the first step, offline only."""
    seed: int = 0
    """Seeds the network, the order of the data, environment resets and exploration."""
    offline_steps: int = 1_000_000
    """Gradient steps on prior data before the online phase."""
    offline_from: str | None = None
    """Folder of a run whose offline phase is taken over instead of being made again: of the same
    seed, data and offline settings; "{seed}" in it stands for the run's."""
    online_steps: int = 1_000_000
    """Environment steps of the online phase, one gradient step each after the warm-up."""
    warmup_steps: int = 5_000
    """First online steps, which only collect."""
    batch_size: int = 256
    """Windows per gradient step."""
    num_envs: int = 1
    """Environments that collect online, each in a process; gradient steps stay one per step. On an
    accelerator dfp train gives a run what the cores can feed."""
    overlap: bool = True
    """Make a chunk's gradient steps while the next chunk is executed, which was therefore decided
    without them; off: decide after them, and wait."""
    replay_capacity: int = 1_000_000
    """Rows of the online replay ring: transitions plus one per episode."""
    online_share: float | None = None
    """Share of each online batch that comes from the replay, in [0, 1]; by default batches are
    uniform over prior data and replay together, as published."""
    eval_every: int = 100_000
    """Steps between evaluations, counted within each phase; a phase's end is evaluated too."""
    eval_episodes: int = 50
    """Episodes per evaluation; the success rate is their mean."""
    log_every: int = 5_000
    """Steps per row of train.csv, each the mean over its steps."""
    checkpoint_every: int = 50_000
    """Steps between checkpoints: at most this much work is repeated after a crash."""
    data: str | None = None
    """File of prior data, or folder of shards; with --env also a folder or a Minari dataset;
    default: the published data if they are there, else a collected file."""
    data_on: Literal["auto", "device", "host"] = "auto"
    """Where prior data stay: in the device's memory, or on the host, whence windows are read ahead;
    auto: on the host if they are a folder of shards. Changes results by rounding alone."""
    data_cache: str | None = None
    """Folder for the memory-mapped form of shards; default: the folder "mapped" among them."""
    skip_broken: bool = False
    """Leave out shards and episodes that are broken, a line each, instead of stopping there."""
    online_prior: int = 1_000_000
    """Transitions of data in shards that stay beside the replay online, the first ones; 0 keeps
    all. Data in one file stay whole."""
    data_mask: str | None = None
    """A selection of a Robomimic file's demonstrations (train, valid, better, ...); default: all"""
    sparse: bool = False
    """OGBench: the reward is -1 until success and 0 on success, in the data and the environment;
    off: minus the number of things out of place."""
    action_bounds: Literal["space", "data"] = "space"
    """With --env: actions are scaled to [-1, 1] from the action space's bounds, or the data's."""
    normalise_observations: bool = False
    """With --env: shift and scale observations to mean 0 and deviation 1 over the data."""
    reward: Literal["own", "success"] = "own"
    """With --env: the data's and the environment's own rewards, or success - 1, ending there."""
    success_return: float | None = None
    """With --env, if its info has no success: the return from which an episode counts as one."""
    max_episode_steps: int | None = None
    """With --env: truncate episodes after so many steps; default: the environment's own limit."""
    columns: tuple[str, ...] = ()
    """With --env: the data's columns of which observation and action are made, joined in order, as
    observation=state,environment_state action=action; default: those of the format."""
    collect_episodes: int = 0
    """Episodes to collect on this machine if no data is found; 0 asks for data instead."""
    processes: int = 2
    """Environment processes for evaluation and collection; changes no result."""
    environment_timeout: float = 600.0
    """Seconds after which an environment that does not answer, to a reset or a chunk of steps, is
    given up and the run stops with a checkpoint; 0 waits for ever."""
    video: bool = True
    """Film an evaluation episode at the end."""
    loggers: tuple[str, ...] = ()
    """Further logs beside the CSV files: tensorboard, wandb (extras of the package)."""
    agent: AgentConfig = dataclasses.field(default_factory=AgentConfig)
    """The settings of the method."""

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: naming the field, its value and its range.
        """
        task = find_task(self.task)
        find_method(self.method)
        for name in ("batch_size", "num_envs", "eval_every", "eval_episodes", "log_every"):
            require(self, name, getattr(self, name) >= 1, "at least 1")
        for name in ("checkpoint_every", "processes"):
            require(self, name, getattr(self, name) >= 1, "at least 1")
        for name in ("offline_steps", "online_steps", "warmup_steps", "collect_episodes"):
            require(self, name, getattr(self, name) >= 0, "at least 0")
        require(self, "online_prior", self.online_prior >= 0, "at least 0")
        require(self, "seed", 0 <= self.seed < SEEDS, f"from 0 to {SEEDS - 1}")
        timeout = self.environment_timeout
        require(self, "environment_timeout", 0 <= timeout < math.inf, "at least 0")
        least = self.num_envs * (self.agent.chunk_length + 2)
        require(self, "replay_capacity", self.replay_capacity >= least, f"at least {least}")
        require(self, "online_share", 0 <= (self.online_share or 0) <= 1, "in [0, 1]")
        choice(self, "data_on", ("auto", "device", "host"))
        choice(self, "phase", ("offline-to-online", "offline-rl"))
        alone = self.phase != "offline-rl" or self.online_steps == 0
        require(self, "online_steps", alone, "0 in the phase offline-rl")
        known = set(self.loggers) <= set(LOGGERS)
        require(self, "loggers", known, "among " + ", ".join(LOGGERS))
        choice(self, "action_bounds", ("space", "data"))
        choice(self, "reward", ("own", "success"))
        require(self, "success_return", math.isfinite(self.success_return or 0), "a number")
        limit = self.max_episode_steps
        require(self, "max_episode_steps", limit is None or limit >= 1, "at least 1")
        parse_columns(self.columns)
        known = task.sparse is not None
        require(self, "sparse", known or not self.sparse, f"left out: {task.name} has no such form")
        unmasked = self.data_mask is None or benchmark_of(task).masks
        require(self, "data_mask", unmasked, f"left out: the files of {task.name} have no masks")
        for name in _CUSTOM_FIELDS if task.custom is None else ():
            default = getattr(CustomSettings, name)
            kept = getattr(self, name) == default
            require(self, name, kept, f"{default} without an environment of your own")

    def configured_task(self, scaling: Scaling | None = None) -> Task:
        """Return the task, with this config's settings: of its rewards, or of a custom environment.

        Args:
            scaling: how the environment's data are scaled, once they have been read.
        """
        task = find_task(self.task)
        if self.sparse:
            task = dataclasses.replace(task, sparse=True)
        if task.custom is None:
            return task
        chosen = {name: getattr(self, name) for name in _CUSTOM_FIELDS}
        return dataclasses.replace(task, custom=CustomSettings(**chosen, scaling=scaling))

    @property
    def total_steps(self) -> int:
        """Count offline gradient steps and online environment steps: the last value of ``step``."""
        return self.offline_steps + self.online_steps

    def to_json(self) -> str:
        """Return the whole config as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "TrainConfig":
        """Return the config that :meth:`to_json` wrote.

        Raises:
            UserError: for a damaged file, or a field that this version does not know or misses.
        """
        try:
            fields = json.loads(text)
            agent = fields.pop("agent")
            config = find_method(fields["method"]).config
            fields, agent = require_types(fields, cls), require_types(agent, config)
            return cls(**fields, agent=config(**agent))
        except (FieldError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"the config is damaged or of another version: {error}") from None


def resolve(
    task: str | None, method: str, preset: str, overrides: Mapping[str, Any]
) -> TrainConfig:
    """Return the config of a run: defaults, published settings, the preset's, then ``overrides``.

    Args:
        task: its name; None takes the preset's.
        method: its name.
        preset: a key of :data:`PRESETS`.
        overrides: values by field name, of :class:`TrainConfig` or of the method's config.

    Raises:
        UserError: for an unknown task, method, preset or field, or a value out of range or of
            another type.
    """
    agent_config = find_method(method).config
    agent_fields = {field.name for field in dataclasses.fields(agent_config)}
    train_fields = {field.name for field in dataclasses.fields(TrainConfig)} - {"agent"}
    unknown = set(overrides) - agent_fields - train_fields
    if unknown:
        first = min(unknown)
        near = nearest(first, agent_fields | train_fields)
        raise UserError(f"{method} has no setting {first}; nearest: {near}")
    overrides = require_types(overrides, TrainConfig, agent_config)
    phase = overrides.get("phase", "offline-to-online")
    task, published, chosen = lower_layers(task, method, preset, phase)
    values: dict[str, Any] = published | chosen
    values |= overrides | {"task": task, "method": method}
    if values.get("decay_steps") == WHOLE_RUN:  # below 0 the steps are refused, by their names
        values["decay_steps"] = max(values["offline_steps"] + values["online_steps"], 0)
    agent = {name: value for name, value in values.items() if name in agent_fields}
    train = {name: value for name, value in values.items() if name in train_fields}
    return TrainConfig(**train, agent=agent_config(**agent))


def lower_layers(
    task: str | None, method: str, preset: str, phase: str
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return the task, the published settings and the preset's: all between defaults and choices.

    Args:
        task: its name; None takes the preset's.
        method: its name.
        preset: a key of :data:`PRESETS`.
        phase: the config's.

    Raises:
        UserError: for an unknown task, method or preset.
    """
    if preset not in PRESETS:
        raise UserError(f"unknown preset {preset!r}; known: {', '.join(PRESETS)}")
    chosen = PRESETS[preset] | PRESET_PLACES.get((preset, method), {})
    task = task or chosen.get("task")
    if task is None:
        raise UserError("name a task (see dfp tasks), or an environment of yours with --env")
    find_method(method)
    benchmark = find_task(task).benchmark
    for place in ((preset, benchmark), (preset, method, benchmark)):
        chosen |= PRESET_PLACES.get(place, {})
    if phase == "offline-rl":  # what the setting is about, a preset does not change
        chosen = {k: v for k, v in chosen.items() if k not in OFFLINE_RL_PHASE}
    return task, published_settings(method, find_task(task), phase), chosen


def first_difference(
    one: TrainConfig, other: TrainConfig, free: Collection[str]
) -> tuple[str, Any, Any] | None:
    """Return the first setting in which two configs differ, and its two values; None if none does.

    Args:
        one: a config.
        other: a config; the methods' settings are compared if they are of one kind.
        free: names of settings in which they may differ.
    """
    pairs: list[tuple[Any, Any]] = [(one, other)]
    if type(one.agent) is type(other.agent):
        pairs.append((one.agent, other.agent))
    for mine, theirs in pairs:
        for field in dataclasses.fields(mine):
            values = getattr(mine, field.name), getattr(theirs, field.name)
            if field.name != "agent" and field.name not in free and values[0] != values[1]:
                return field.name, *values
    return None


def setting_text(value: object) -> str:
    """Return a setting's value in words."""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
