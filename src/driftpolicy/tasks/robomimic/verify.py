"""Replaying recorded actions: whether demonstrations fit the simulator that is installed."""

import itertools
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import numpy as np

from driftpolicy.tasks.benchmark import ReplayedDemonstration
from driftpolicy.tasks.robomimic.demonstrations import DemoFile, Replayer
from driftpolicy.tasks.robomimic.environment import modern_arguments
from driftpolicy.tasks.robomimic.tasks import CONTROL_RATE

_STEPS = (1, 10, 100)


def replay(file: DemoFile, names: list[str]) -> Iterator[ReplayedDemonstration]:
    """Replay demonstrations that hold states.

    Raises:
        UserError: if they hold none, or states of another scene.
    """
    replayer = Replayer(file)
    positions = slice(1, 1 + replayer.simulator.sim.model.nq)
    for name in names:
        stored = file.demo(name)
        shown = replayer.complete(stored)
        assert stored.states is not None
        assert shown.rewards is not None
        assert shown.observations is not None
        difference = np.nan
        if stored.observations is not None:
            difference = float(np.abs(stored.observations - shown.observations)[:-1].max())
        replayer.start(stored.states[0])
        apart, success = [], False
        for action, following in itertools.zip_longest(stored.actions, stored.states[1:]):
            replayer.simulator.step(np.clip(action, -1.0, 1.0))
            success = success or replayer.succeeds()
            if following is not None:
                state = replayer.simulator.sim.get_state().flatten()
                apart.append(float(np.abs(state - following)[positions].max()))
        apart = apart or [np.nan]  # a single step has no state after it
        ends = [apart[min(steps, len(apart)) - 1] for steps in (*_STEPS, len(apart))]
        yield ReplayedDemonstration(
            name=name,
            steps=len(stored.actions),
            divergence=tuple(ends),
            observation=difference,
            recorded_success=bool(shown.rewards.any()),
            replayed_success=success,
        )


def mismatches(file: DemoFile) -> list[str]:
    """Say what differs between a file and the installed robosuite, a line each."""
    found = []
    installed = metadata.version("robosuite")
    if file.version != installed:
        found.append(
            f"recorded with robosuite {file.version}, installed is {installed}: contacts and "
            "controllers differ between versions, so replays drift"
        )
    arguments = modern_arguments(file.environment, file.arguments)
    theirs = _arm(arguments)
    if "body_parts" not in (file.arguments.get("controller_configs") or {"body_parts": None}):
        found.append("controller settings are of robosuite before 1.5 and were converted")
    ours = _arm(modern_arguments(file.environment, {}))
    found.extend(
        f"the controller's {name} is {theirs.get(name)}, this program's environment has "
        f"{ours.get(name)}: actions mean something else"
        for name in ("type", "output_max", "output_min", "kp", "impedance_mode")
        if theirs.get(name) != ours.get(name)
    )
    rate = arguments["control_freq"]
    if rate != CONTROL_RATE:
        found.append(f"recorded at {rate} Hz, this program's environment has {CONTROL_RATE}")
    return found


def _arm(arguments: dict[str, Any]) -> dict[str, Any]:
    return arguments["controller_configs"]["body_parts"]["right"]
