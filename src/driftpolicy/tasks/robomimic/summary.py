"""The contents of a file of demonstrations in numbers, and in the sections of a table."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from driftpolicy.tasks.benchmark import Section
from driftpolicy.tasks.robomimic.dataset import describe, load_dataset
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
        demos = [file.demo(name) for name in file.names]
        controller = file.arguments.get("controller_configs") or {}
        arm = controller.get("body_parts", {}).get("right", controller)
        robots = file.arguments.get("robots", "?")
        seen = demos[0].observations
        returns = [float(demo.rewards.sum()) for demo in demos if demo.rewards is not None]
        return Demonstrations(
            description=describe(path),
            environment=file.environment,
            version=file.version,
            robot=robots if isinstance(robots, str) else ", ".join(robots),
            controller=str(arm.get("type", "?")),
            lengths=np.array([len(demo.actions) for demo in demos]),
            returns=np.array(returns) if len(returns) == len(demos) else None,
            observations="none: states only, seen by replaying them"
            if seen is None
            else f"{', '.join(OBSERVATION_KEYS)} ({seen.shape[1]} numbers)",
            masks={name: len(members) for name, members in file.masks().items()},
        )


def inspect_file(path: Path, task: Task | None) -> list[Section]:
    """Say what is in a file, and what it is worth for a task.

    Raises:
        UserError: if it cannot be read, or the task cannot be trained on it.
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
    if task is not None:
        sections.append(rewards_section(task, load_dataset(task, path)))
    return sections
