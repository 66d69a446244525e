"""The contents of a file of demonstrations in numbers, and in the sections of a table."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from driftpolicy.agents.base import AgentConfig
from driftpolicy.data.checks import short_episodes
from driftpolicy.data.findings import read_whole
from driftpolicy.errors import UserError
from driftpolicy.tasks.benchmark import Checks, LoadOptions, Section
from driftpolicy.tasks.robomimic.dataset import describe, examine, to_dataset
from driftpolicy.tasks.robomimic.demonstrations import DemoFile
from driftpolicy.tasks.robomimic.environment import OBSERVATION_KEYS
from driftpolicy.tasks.sections import origin_section, rewards_section, spread
from driftpolicy.tasks.task import Task


@dataclasses.dataclass(frozen=True)
class Demonstrations:
    """A file in Robomimic's layout."""

    description: dict[str, Any]
    """Who made it (:func:`describe`)."""
    environment: str
    """robosuite's name of it."""
    version: str
    """Of robosuite, at recording."""
    robot: str
    """Such as Panda."""
    controller: str
    """Such as OSC_POSE."""
    lengths: Int64[np.ndarray, " demos"]
    """Steps of each demonstration, in numeric order."""
    returns: Float64[np.ndarray, " demos"] | None
    """Sum of the recorded rewards; None where the file has none."""
    observations: str
    """What is seen, or how it is to be had."""
    masks: dict[str, int]
    """Demonstrations of each named selection: operators, levels, train and valid."""


def summarise(path: Path) -> Demonstrations:
    """Read a whole file of demonstrations.

    Raises:
        UserError: if it is missing, damaged, or none in Robomimic's layout.
    """
    with DemoFile(path) as file:
        demos, broken = read_whole(file.names, file.demo)
        if not demos:
            raise UserError(next(iter(broken.values())))
        robots = file.arguments.get("robots", "?")
        seen = demos[0].observations
        returns = [float(demo.rewards.sum()) for demo in demos if demo.rewards is not None]
        return Demonstrations(
            description=describe(path),
            environment=file.environment,
            version=file.version,
            robot=", ".join(map(str, robots)) if isinstance(robots, list) else str(robots),
            controller=_controller(file.arguments),
            lengths=np.array([len(demo.actions) for demo in demos]),
            returns=np.array(returns) if len(returns) == len(demos) else None,
            observations="none: states only, seen by replaying them"
            if seen is None
            else f"{', '.join(OBSERVATION_KEYS)} ({seen.shape[1]} numbers)",
            masks={name: len(members) for name, members in file.masks().items()},
        )


def _controller(arguments: dict[str, Any]) -> str:
    """Return the type of the arm's controller; a question mark where a file does not say it."""
    config = arguments.get("controller_configs")
    config = config[0] if isinstance(config, list) and config else config
    for name in ("body_parts", "right"):
        config = config.get(name, config) if isinstance(config, dict) else None
    return str(config.get("type", "?")) if isinstance(config, dict) else "?"


def inspect_file(path: Path, task: Task | None, options: LoadOptions) -> list[Section]:
    """Say what is in a file, what is wrong with it, and what it is worth for a task.

    Raises:
        UserError: if it cannot be read.
    """
    summary = summarise(path)
    returns, lengths = summary.returns, summary.lengths
    masks = "\n".join(f"{name} {count:,}" for name, count in summary.masks.items())
    contents = {
        "environment": f"{summary.environment}, recorded with robosuite {summary.version}",
        "robot": f"{summary.robot}, {summary.controller}",
        "demonstrations": f"{len(lengths):,}, {lengths.sum():,} transitions",
        "length": spread(lengths),
        "returns": "not recorded" if returns is None else spread(returns),
        "observations": summary.observations,
        "masks, operators": masks or "none",
    }
    sections = [origin_section(summary.description, path.stat().st_size), contents]
    found = examine(task, path, options)
    checks = Checks([*found.findings, *short_episodes(lengths, AgentConfig.chunk_length)])
    if task is not None and not checks.refused:
        sections.append(rewards_section(task, to_dataset(found.demos)))
    return [*sections, checks]
