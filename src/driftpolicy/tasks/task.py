"""The record of a task, and what a user says of a custom environment."""

import dataclasses
import re
from typing import Literal

from driftpolicy.scaling import Scaling


@dataclasses.dataclass(frozen=True)
class CustomSettings:
    """What a user says of a custom environment and of the data recorded for it."""

    action_bounds: Literal["space", "data"] = "space"
    """What -1 and 1 mean: the bounds of the action space, or the extremes in the data."""
    normalise_observations: bool = False
    """Whether observations have mean 0 and deviation 1 over the data."""
    reward: Literal["own", "success"] = "own"
    """The rewards of data and environment (``own``), or success - 1 with an end at success."""
    success_return: float | None = None
    """The return from which an episode counts as a success; None: ``info`` says it."""
    max_episode_steps: int | None = None
    """A time limit in steps; None: that of the environment."""
    columns: tuple[str, ...] = ()
    """What the data's columns are, as ``observation=state,goal``; (): as their format has it."""
    scaling: Scaling | None = None
    """The scaling between the user's units and the agent's; None leaves everything as it is."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A single manipulation task with its prior data.

    Whoever makes a task fills in all its fields, so that nobody needs to take its name apart.
    """

    name: str
    """As on the command line, for instance ``cube-double-play-singletask-task2-v0``."""
    benchmark: str
    """The name of the task's :class:`driftpolicy.tasks.benchmark.Benchmark`, as ``ogbench``."""
    domain: str
    """The kind of scene, over all its sizes: ``cube``, ``puzzle``, ``lift``."""
    family: str
    """The scene, for instance ``cube-double``."""
    kind: str
    """How the data was made: ``play``, ``noisy``, ``play-100m``; ``ph``, ``mh``, ``mg``."""
    number: int | None = None
    """Which of the scene's goals, counted from 1; None where a scene has only one."""
    environment: str
    """The id under which the simulator registers the environment."""
    dataset: str
    """The name of the published dataset."""
    heading: tuple[str, str]
    """A heading of two lines, the second perhaps empty: ``("cube-double", "task2")``."""
    paper_name: str | None = None
    """The name of the task in the paper's tables, if it is in them: ``cube-double-task2``."""
    sparse: bool | None = None
    """Whether the reward is -1 until success and 0 on success; None where it cannot be chosen."""
    custom: CustomSettings | None = None
    """The settings of a custom environment; None for the task of a benchmark."""

    @property
    def folder(self) -> str:
        """The name as a folder's, or as a part of an address: one word without colons."""
        name = self.name if self.custom is None else self.environment
        return re.sub(r"[^\w.=-]+", "-", name).strip("-.")

    @property
    def title(self) -> str:
        """The heading in one line: ``cube-double task2``."""
        return " ".join(filter(None, self.heading))
