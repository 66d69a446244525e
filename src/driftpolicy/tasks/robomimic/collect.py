"""Collecting demonstrations of Robomimic's tasks by scripted operators, in Robomimic's v1.5 layout.

Operators take turns; an attempt that fails is made again, so that the file holds successes only. A
demonstration is a pure function of (seed, its number), whatever the number of processes. The file
says that its operators are scripts: they are not the published human demonstrations.
"""

import contextlib
import io
import json
import platform
from collections.abc import Generator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.data.files import write_atomically
from driftpolicy.data.parts import drop_parts, kept_parts
from driftpolicy.envs.base import episode_seed
from driftpolicy.envs.parallel import Workers
from driftpolicy.errors import UserError
from driftpolicy.tasks.robomimic.environment import (
    HORIZONS,
    OBSERVATION_KEYS,
    default_arguments,
    look,
    make_simulator,
)
from driftpolicy.tasks.robomimic.scripted_operators import OPERATORS, Operator

_VALID_EVERY = 10  # one demonstration of so many is for validation
_ROBOSUITE_TYPE = 1  # Robomimic's number for robosuite environments


class Demonstrator:
    """One simulator in which operators demonstrate; lives in a worker process."""

    def __init__(self, environment: str, seed: int):
        """Make the simulator of an environment, by robosuite's name of it."""
        self._limit = HORIZONS[environment]
        self._simulator = make_simulator(default_arguments(environment))
        self._seed = seed

    def demonstrate(self, number: int) -> dict[str, np.ndarray]:
        """Return a successful demonstration by the operator whose turn it is.

        ``attempts`` says how many it took.

        Raises:
            UserError: if a hundred attempts fail.
        """
        for attempt in range(100):
            rows = self.attempt(operator_of(number), episode_seed(self._seed, number, attempt))
            if rows["rewards"][-1] == 1.0:
                return rows | {"attempts": np.array(attempt + 1)}
        raise UserError(f"demonstration {number}: {operator_of(number)} failed a hundred times")

    def attempt(self, operator: str, seed: int) -> dict[str, np.ndarray]:
        """Make one attempt, until success, the end of the plan or the horizon."""
        simulator = self._simulator
        rng = np.random.default_rng(seed)
        simulator.rng.bit_generator.state = np.random.default_rng((seed, 1)).bit_generator.state
        simulator.reset()
        seen = [_parts(look(simulator))]
        rows: dict[str, list[Any]] = {"actions": [], "states": [], "rewards": []}
        for action in Operator(simulator, OPERATORS[operator], rng).actions():
            action = action.astype(np.float32).astype(np.float64)
            rows["actions"].append(action)
            rows["states"].append(simulator.sim.get_state().flatten())
            values, _, _, _ = simulator.step(action)
            seen.append(_parts(values))
            rows["rewards"].append(float(simulator._check_success()))
            if rows["rewards"][-1] or len(rows["actions"]) == self._limit:
                break
        arrays = {name: np.array(values) for name, values in rows.items()}
        for key in OBSERVATION_KEYS:
            arrays[f"obs/{key}"] = np.stack([parts[key] for parts in seen[:-1]])
            arrays[f"next_obs/{key}"] = np.stack([parts[key] for parts in seen[1:]])
        arrays["dones"] = arrays["rewards"].astype(np.int64)
        return arrays


def operator_of(number: int) -> str:
    """Return the operator whose turn a demonstration is."""
    return list(OPERATORS)[number % len(OPERATORS)]


def _parts(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key: values["object-state" if key == "object" else key] for key in OBSERVATION_KEYS}


def collect(
    environment: str, path: Path, *, episodes: int, seed: int, processes: int
) -> Generator[int, None, None]:
    """Collect demonstrations into the file ``path``, atomically; interrupted, go on.

    Yields:
        The number of demonstrations done so far.

    Raises:
        UserError: for a number out of range, a folder that cannot be written, or a full disk.
    """
    ranges = {"--episodes": (episodes, 1), "--processes": (processes, 1), "--seed": (seed, 0)}
    for flag, (value, least) in ranges.items():
        if value < least:
            raise UserError(f"{flag} must be at least {least}, not {value}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None

    def make(numbers: range) -> Generator[dict[str, np.ndarray], None, None]:
        with Workers(min(processes, len(numbers)), Demonstrator, environment, seed) as workers:
            yield from workers.map(Demonstrator.demonstrate, [(number,) for number in numbers])

    demos: list[dict[str, np.ndarray]] = []
    packages = ("driftpolicy", "robosuite", "mujoco", "numpy")
    identity = [environment, seed, {name: metadata.version(name) for name in packages}]
    with contextlib.closing(kept_parts(path, {"parts": identity}, episodes, make)) as coming:
        for demo in coming:
            demos.append(demo)
            yield len(demos)
    written = _file(environment, demos, seed)
    write_atomically(path, lambda file: file.write(written), what="data file")
    drop_parts(path)


def _file(environment: str, demos: list[dict[str, np.ndarray]], seed: int) -> bytes:
    """Return the HDF5 file's bytes: equal demonstrations, equal bytes."""
    import h5py

    arguments = default_arguments(environment)
    arguments.pop("env_name")
    version = metadata.version("robosuite")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        data = file.create_group("data")
        data.attrs["total"] = sum(len(demo["actions"]) for demo in demos)
        data.attrs["env_args"] = json.dumps(
            {
                "env_name": environment,
                "env_version": version,
                "type": _ROBOSUITE_TYPE,
                "env_kwargs": arguments,
            }
        )
        data.attrs["driftpolicy"] = json.dumps(_description(environment, demos, seed, version))
        for number, demo in enumerate(demos):
            group = data.create_group(f"demo_{number}")
            group.attrs["num_samples"] = len(demo["actions"])
            for name, array in demo.items():
                if name == "attempts":
                    group.attrs["attempts"] = int(array)
                else:
                    group.create_dataset(name, data=array)
        for name, members in _masks(len(demos)).items():
            file.create_dataset(f"mask/{name}", data=np.array(members, dtype="S"))
    return buffer.getvalue()


def _masks(count: int) -> dict[str, list[str]]:
    """Return the selections: operators, their levels, and a split for validation."""
    masks: dict[str, list[str]] = {}
    for number in range(count):
        operator = operator_of(number)
        turn = number + number // len(OPERATORS)  # so that each operator's is among them
        split = "valid" if turn % _VALID_EVERY == _VALID_EVERY - 1 else "train"
        for name in (operator, OPERATORS[operator].level, split):
            masks.setdefault(name, []).append(f"demo_{number}")
    return masks


def _description(
    environment: str, demos: list[dict[str, np.ndarray]], seed: int, version: str
) -> dict[str, Any]:
    attempts = dict.fromkeys(OPERATORS, 0)
    for number, demo in enumerate(demos):
        attempts[operator_of(number)] += int(demo["attempts"])
    return {
        "origin": "collected",
        "collected_by": "driftpolicy " + metadata.version("driftpolicy"),
        "note": "scripted operators, not people; not the published dataset",
        "scene": environment,
        "demonstrations": len(demos),
        "attempts": attempts,
        "seed": seed,
        "versions": {"robosuite": version}
        | {name: metadata.version(name) for name in ("mujoco", "numpy")},
        "machine": platform.machine(),
    }
