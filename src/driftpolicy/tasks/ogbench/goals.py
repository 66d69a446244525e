"""The goals of OGBench's tasks in words, for those who watch."""

from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

_COLOURS = ("red", "blue", "orange", "green")
_TOLERANCE = 0.04  # m: within which OGBench takes a cube to be in place
_CUBE = 0.04  # m, of height


def describe_goal(simulator: Any) -> str:
    """Return the goal of the episode that has just begun in a simulator of OGBench."""
    data, parts = simulator._data, []
    cubes = getattr(simulator, "_num_cubes", 0)
    if cubes:
        starts = np.array([data.joint(f"object_joint_{i}").qpos[:3] for i in range(cubes)])
        parts += cube_words(starts, data.mocap_pos[simulator._cube_target_mocap_ids])
    if hasattr(simulator, "_num_buttons"):
        parts += button_words(simulator._cur_button_states, simulator._target_button_states)
    if hasattr(simulator, "_target_drawer_pos"):
        slides = {"drawer": simulator._target_drawer_pos, "window": simulator._target_window_pos}
        for name, target in slides.items():
            if abs(data.joint(f"{name}_slide").qpos[0] - target) > _TOLERANCE:
                parts.append(f"{'open' if target else 'close'} the {name}")
    return ", ".join(parts)


def cube_words(
    starts: Float[np.ndarray, "cubes 3"], goals: Float[np.ndarray, "cubes 3"]
) -> list[str]:
    """Say where each cube is to go that is not there yet, in cm along the table.

    ``red cube to (43, -10)``; stacked: ``blue cube to (43, -10), level 2``.
    """
    words = []
    for colour, start, goal in zip(_COLOURS, starts, goals, strict=False):
        if np.linalg.norm(start - goal) > _TOLERANCE:
            x, y = np.round(100 * goal[:2]).astype(int)
            level = int(goal[2] // _CUBE) + 1
            words.append(f"{colour} cube to ({x}, {y})" + (f", level {level}" * (level > 1)))
    return words


def button_words(
    states: Shaped[np.ndarray, " buttons"], goals: Shaped[np.ndarray, " buttons"]
) -> list[str]:
    """Say how many buttons are to change, if any: ``switch 2 of 9 buttons``."""
    wrong = int(np.sum(states != goals))
    noun = "button" if len(goals) == 1 else "buttons"
    return [f"switch {wrong} of {len(goals)} {noun}"] if wrong else []
