"""Replaying recorded actions: whether demonstrations fit the simulator that is installed."""

import itertools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32

from driftpolicy.tasks.benchmark import ReplayedDemonstration
from driftpolicy.tasks.robomimic.demonstrations import DemoFile
from driftpolicy.tasks.robomimic.replaying import Replayer

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
            difference = _apart(stored.observations, shown.observations[:-1])
        replayer.start(stored.states[0])
        apart, success = [], False
        for action, following in itertools.zip_longest(stored.actions, stored.states[1:]):
            replayer.step(action)
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


def _apart(
    stored: Float32[np.ndarray, "rows stored"], shown: Float32[np.ndarray, "steps shown"]
) -> float:
    """Return the greatest difference of what was seen; infinite if it has other widths."""
    same = stored.shape[1] == shown.shape[1]
    return float(np.abs(stored[: len(shown)] - shown).max()) if same else np.inf
