"""What a file of demonstrations and the environment that is trained in do not have in common."""

import functools
from importlib import metadata
from typing import Any, NamedTuple

from driftpolicy.data.findings import Finding
from driftpolicy.errors import UserError
from driftpolicy.tasks.robomimic.demonstrations import Demo, DemoFile
from driftpolicy.tasks.robomimic.environment import (
    HORIZONS,
    OBSERVATION_KEYS,
    arm_of,
    default_arguments,
    look,
    make_simulator,
    modern_arguments,
)
from driftpolicy.tasks.robomimic.tasks import CONTROL_RATE
from driftpolicy.tasks.task import Task

_MEANINGS = ("type", "input_type")  # of which others make an action something else altogether
_SCALES = ("output_max", "output_min", "kp", "impedance_mode")


def against_task(file: DemoFile, task: Task) -> list[Finding]:
    """Report what is different in a file and in the environment of a task.

    Raises:
        UserError: if robosuite is not installed.
    """
    if file.environment != task.environment:
        text = f"its environment is {file.environment}, that of {task.name} is {task.environment}"
        known = ", ".join(HORIZONS)
        return [Finding(f"{text}: take a file of that (known here are {known})", refused=True)]
    return differences(file)


class Sizes(NamedTuple):
    """How many numbers an environment of this program shows and takes."""

    parts: dict[str, int]
    """In each part of an observation, in their order."""
    action_dim: int

    @property
    def observation_dim(self) -> int:
        """The numbers in an observation."""
        return sum(self.parts.values())


@functools.cache
def sizes_of(environment: str) -> Sizes:
    """Return the sizes of an environment, by robosuite's name of it.

    Raises:
        UserError: if robosuite is not installed.
    """
    simulator = make_simulator(default_arguments(environment))
    simulator.reset()
    seen = look(simulator)
    parts = {key: len(seen["object-state" if key == "object" else key]) for key in OBSERVATION_KEYS}
    return Sizes(parts, int(simulator.action_dim))


def misfit(demo: Demo, sizes: Sizes) -> list[str]:
    """Say which parts of a demonstration have other sizes than the environment."""
    needed = {**sizes.parts, "actions": sizes.action_dim}
    found = {**(demo.parts or sizes.parts), "actions": demo.actions.shape[1]}
    return [
        f"{demo.name}: {part} has {found[part]} numbers, in the environment {needed[part]}: was it "
        "recorded in another scene, or by another version?"
        for part in needed
        if found[part] != needed[part]
    ]


def mismatches(file: DemoFile) -> list[str]:
    """Say what differs between a file and the installed robosuite, a line each.

    Raises:
        UserError: if robosuite is not installed, or the file's settings are none of it.
    """
    found = []
    installed = metadata.version("robosuite")
    if file.version != installed:
        found.append(
            f"recorded with robosuite {file.version}, installed is {installed}: contacts and "
            "controllers differ between versions, so replays drift"
        )
    if "body_parts" not in (file.arguments.get("controller_configs") or {"body_parts": None}):
        found.append("controller settings are of robosuite before 1.5 and were converted")
    return found + [finding.text for finding in differences(file)]


def differences(file: DemoFile) -> list[Finding]:
    """Report what makes the file's actions mean something else in this program's environment.

    Raises:
        UserError: if robosuite is not installed, or the file's settings are none of it.
    """
    try:
        theirs = modern_arguments(file.environment, file.arguments)
    except UserError as error:
        raise UserError(f"{file.path}: {error}") from None
    ours = modern_arguments(file.environment, {})
    found = []
    robots, robot = _robots(theirs), _robots(ours)
    if robots != robot:
        found.append(
            Finding(
                f"recorded with {robots}, this program's environment has {robot}: take "
                "demonstrations by that robot",
                refused=True,
            )
        )
    found += [
        Finding(
            f"the controller's {name} is {arm_of(theirs).get(name)}, this program's environment "
            f"has {arm_of(ours).get(name)}: actions mean something else",
            refused=name in _MEANINGS,
        )
        for name in (*_MEANINGS, *_SCALES)
        if arm_of(theirs).get(name, arm_of(ours).get(name)) != arm_of(ours).get(name)
    ]
    rate = theirs["control_freq"]
    if rate != CONTROL_RATE:
        found.append(
            Finding(
                f"recorded at {rate} Hz, this program's environment has {CONTROL_RATE}: the "
                "same actions are another motion there"
            )
        )
    return found


def _robots(arguments: dict[str, Any]) -> str:
    robots = arguments["robots"]
    return robots if isinstance(robots, str) else ", ".join(map(str, robots))
