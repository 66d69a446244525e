"""Where the time of one control step of Robomimic's tasks goes, and what plain robosuite takes.

    uv run --extra robomimic python benchmarks/simulator.py [--rounds 9]

Both simulators take the same actions in turn in one run; medians over the rounds of 20 steps. Plain
is robosuite as it comes (doubled forward passes, its own control loop) with the sensors this
package asks for; tests/envs/test_robomimic.py holds their states against each other, bit by bit.
Physics is MuJoCo's part of our step, torques the controller's.
"""

import argparse
import statistics
import time
from typing import Any

import numpy as np

from driftpolicy.tasks.robomimic.environment import HORIZONS, default_arguments, make_simulator

STEPS = 20


class Stopwatch:
    """Replaces methods by ones that add up their time."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def watch(self, target: Any, name: str) -> None:
        """Time this method of ``target`` from now on."""
        method = getattr(target, name)

        def timed(*arguments: Any) -> Any:
            start = time.perf_counter()
            result = method(*arguments)
            self.seconds += time.perf_counter() - start
            return result

        setattr(target, name, timed)

    def milliseconds(self) -> float:
        """Per control step since the last call."""
        taken, self.seconds = self.seconds, 0.0
        return 1e3 * taken / STEPS


def simulators(environment: str) -> tuple[Any, Any]:
    """Ours, and plain robosuite."""
    arguments = default_arguments(environment)
    ours, plain = make_simulator(arguments), make_simulator(arguments | {"lite_physics": False})
    del plain._update_observables  # the class's own are back
    for simulator in (ours, plain):
        simulator.reset()
    return ours, plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    print("| task | plain (ms) | ours (ms) | plain / ours | physics (ms) | torques (ms) |")
    print("| --- | --- | --- | --- | --- | --- |")
    for environment in HORIZONS:
        ours, plain = simulators(environment)
        physics, torques, whole = Stopwatch(), Stopwatch(), Stopwatch()
        for name in ("step1", "step2"):
            physics.watch(ours.sim, name)
        torques.watch(ours, "_pre_action")
        for simulator in (ours, plain):
            whole.watch(simulator, "step")
        rows = []
        actions = np.random.default_rng(0).uniform(-1, 1, (rounds, STEPS, ours.action_dim))
        for chunk in actions:
            times = []
            for simulator in (plain, ours):
                for action in chunk:
                    simulator.step(action)
                times.append(whole.milliseconds())
            rows.append(
                (*times, times[0] / times[1], physics.milliseconds(), torques.milliseconds())
            )
        cells = (f"{statistics.median(column):.2f}" for column in zip(*rows, strict=True))
        print(f"| {environment} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
