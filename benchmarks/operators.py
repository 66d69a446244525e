"""How often each scripted operator of Robomimic's tasks succeeds, and in how many steps.

uv run --extra robomimic python benchmarks/operators.py [--attempts 100] [--processes 2]

An attempt is one episode, until success, the end of the plan or the task's horizon.
"""

import argparse
import statistics

from driftpolicy.envs.parallel import Workers
from driftpolicy.tasks.robomimic.collect import Demonstrator
from driftpolicy.tasks.robomimic.environment import HORIZONS
from driftpolicy.tasks.robomimic.scripted_operators import OPERATORS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    print("| task | operator | success | steps, median |")
    print("| --- | --- | --- | --- |")
    for environment in HORIZONS:
        with Workers(options.processes, Demonstrator, environment, 0) as workers:
            for operator in OPERATORS:
                calls = [(operator, 1000 + number) for number in range(options.attempts)]
                attempts = list(workers.map(Demonstrator.attempt, calls))
                lengths = [len(a["actions"]) for a in attempts if a["rewards"][-1] == 1.0]
                print(
                    f"| {environment} | {operator} | {len(lengths)} of {len(attempts)} "
                    f"| {statistics.median(lengths):.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
