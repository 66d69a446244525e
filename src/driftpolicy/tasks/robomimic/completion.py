"""What a file of demonstrations leaves out, from its states or without them."""

import dataclasses
from collections import Counter

import numpy as np

from driftpolicy.data.findings import Finding
from driftpolicy.errors import UserError
from driftpolicy.tasks.robomimic.demonstrations import Demo, DemoFile
from driftpolicy.tasks.robomimic.replaying import Replayer

_WAYS = {
    "replayed": "simulated from the last states",
    "repeated": "left as the ones before, since nothing follows a success",
    "dropped": "those before the last actions, which are dropped",
}


class Completion:
    """Completes demonstrations: all of them have an observation after the last action."""

    def __init__(self, file: DemoFile):
        """Complete the demonstrations of ``file``, with a simulator only where one is needed."""
        self._file = file
        self._replayer: Replayer | str | None = None
        self._ways: Counter[str] = Counter()
        self._reason = ""

    def __call__(self, demo: Demo) -> Demo:
        """Return a demonstration with T+1 observations and with rewards.

        Raises:
            UserError: if it lacks what they could come from.
        """
        if demo.observations is None or demo.rewards is None:
            return self._simulator().complete(demo)
        if len(demo.observations) > len(demo.actions):
            return demo
        completed, way = self._last(demo, demo.observations, demo.rewards)
        self._ways[way] += 1
        return completed

    def _last(self, demo: Demo, observations: np.ndarray, rewards: np.ndarray) -> tuple[Demo, str]:
        if demo.states is not None:
            try:
                return self._simulator().add_last(demo), "replayed"
            except UserError as error:  # states of another scene or version
                self._reason = self._reason or str(error).removeprefix(f"{self._file.path}: ")
        if rewards[-1] >= 1.0:
            again = np.concatenate([observations, observations[-1:]])
            return dataclasses.replace(demo, observations=again), "repeated"
        if len(rewards) == 1:
            raise UserError(f"{demo.name} lacks next_obs, and has a single step")
        kept = {
            name: None if (values := getattr(demo, name)) is None else values[:-1]
            for name in ("actions", "rewards", "states")
        }
        return dataclasses.replace(demo, **kept), "dropped"

    def _simulator(self) -> Replayer:
        """Return the simulator, made once; where that failed, fail as it did."""
        if self._replayer is None:
            try:
                self._replayer = Replayer(self._file)
            except UserError as error:
                self._replayer = str(error)
        if isinstance(self._replayer, str):
            raise UserError(self._replayer)
        return self._replayer

    def findings(self) -> list[Finding]:
        """Report how the observations after the last actions came about, where none are stored."""
        reason = f" (their states do not help: {self._reason})" if self._reason else ""
        return [
            Finding(
                f"next_obs is missing in {count:,} demonstrations: their last observations are "
                f"{_WAYS[way]}{reason}"
            )
            for way, count in self._ways.items()
        ]
