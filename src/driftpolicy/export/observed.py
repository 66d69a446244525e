"""What is known of a run's observations: the parts they are made of, and examples of them."""

from typing import Any

import numpy as np
from jaxtyping import Float32

from driftpolicy.data.shards import sharded
from driftpolicy.tasks.benchmark import source_of
from driftpolicy.tasks.robomimic import environment as robomimic
from driftpolicy.tasks.task import Task
from driftpolicy.errors import UserError
from driftpolicy.training.config import TrainConfig

Parts = list[list[Any]]

_ROBOMIMIC_SIZES = (3, 4, 2)  # of the parts of an observation but the last, the object
_ARM: Parts = [
    ["joint_pos", 6],
    ["joint_vel", 6],
    ["effector_pos", 3],
    ["effector_yaw_cos", 1],
    ["effector_yaw_sin", 1],
    ["gripper_opening", 1],
    ["gripper_contact", 1],
]
_BLOCK = {"pos": 3, "quat": 4, "yaw_cos": 1, "yaw_sin": 1}
_BUTTON = {"state": 2, "pos": 1, "vel": 1}
_CUBES = {"cube-single": 1, "cube-double": 2, "cube-triple": 3, "cube-quadruple": 4, "scene": 1}


def parts_of(task: Task, dim: int) -> Parts | None:
    """Name and size of the parts of an observation, in their order.

    OGBench's names are those in its ``info``. It scales some of its numbers: positions ``p`` of
    effector and blocks are ``10 (p - (0.425, 0, 0))``, the gripper's opening is times 3; positions
    of buttons times 120, of the drawer times 18, of the window times 15. A button's state is one of
    two, as two numbers.

    Args:
        task: of a benchmark, or of the user's own.
        dim: the numbers in an observation.

    Returns:
        Parts whose sizes add up to ``dim``; None of an environment of the user's own, and if the
        benchmark's observations are others than these.
    """
    if task.benchmark == "robomimic":
        sizes = (*_ROBOMIMIC_SIZES, dim - sum(_ROBOMIMIC_SIZES))
        return [list(part) for part in zip(robomimic.OBSERVATION_KEYS, sizes, strict=True)]
    if task.benchmark != "ogbench":
        return None
    parts = list(_ARM)
    for i in range(_CUBES.get(task.family, 0)):
        parts += [[f"block_{i}_{name}", size] for name, size in _BLOCK.items()]
    for i in range(_buttons(task.family)):
        parts += [[f"button_{i}_{name}", size] for name, size in _BUTTON.items()]
    if task.family == "scene":
        parts += [[f"{what}_{of}", 1] for what in ("drawer", "window") for of in ("pos", "vel")]
    return parts if sum(size for _, size in parts) == dim else None


def _buttons(family: str) -> int:
    """Of a scene's own, or of a puzzle's rows times columns."""
    if family.startswith("puzzle-"):
        rows, columns = family.removeprefix("puzzle-").split("x")
        return int(rows) * int(columns)
    return 2 if family == "scene" else 0


def prior_observations(
    config: TrainConfig, identity: str
) -> Float32[np.ndarray, "rows observation"] | None:
    """Those in the run's prior data, as the agent sees them.

    Args:
        config: the run's.
        identity: the data's ``crc32``.

    Returns:
        None if the data are no longer where they were, are others by now, or are shards, which are
        not read as a whole.
    """
    task = config.environment()
    source = source_of(task)
    try:
        path = source.find_dataset(task, config.data)
        if path is None or sharded(task, path):
            return None
        if source.describe(path)["crc32"] != identity:
            return None
        return source.load_dataset(task, path, config.data_mask).rows.observations
    except (UserError, OSError):
        return None
