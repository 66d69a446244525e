"""The parts of an OGBench observation.

The names are those in its ``info``. OGBench scales some of its numbers: positions ``p`` of effector
and blocks are ``10 (p - (0.425, 0, 0))``, the gripper's opening is times 3; positions of buttons
are times 120, of the drawer times 18, of the window times 15. A button's state is one of two, as
two numbers.
"""

from driftpolicy.tasks.benchmark import Parts

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
_BUTTONS = {"scene": 2, "puzzle-3x3": 9, "puzzle-4x4": 16, "puzzle-4x5": 20, "puzzle-4x6": 24}


def observation_parts(family: str, dim: int) -> Parts | None:
    """Return the parts of a scene's observation, in their order.

    Args:
        family: the scene.
        dim: the numbers in an observation.

    Returns:
        Parts whose sizes add up to ``dim``; None if the observations are others than these.
    """
    parts = list(_ARM)
    for i in range(_CUBES.get(family, 0)):
        parts += [[f"block_{i}_{name}", size] for name, size in _BLOCK.items()]
    for i in range(_BUTTONS.get(family, 0)):
        parts += [[f"button_{i}_{name}", size] for name, size in _BUTTON.items()]
    if family == "scene":
        parts += [[f"{what}_{of}", 1] for what in ("drawer", "window") for of in ("pos", "vel")]
    return parts if sum(size for _, size in parts) == dim else None
