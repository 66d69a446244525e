"""Files of demonstrations, read through h5py.

Robomimic's layouts v0.1 to v1.5 hold ``data/demo_i/{actions, rewards, dones, states, obs/*,
next_obs/*}`` with ``data.attrs["env_args"]``. robosuite's own recordings (``demo.hdf5``) hold
``states`` and ``actions`` only, with ``data.attrs["env_info"]``: what they saw comes from replaying
the states.
"""

import dataclasses
import json
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from driftpolicy.data.files import crc32
from driftpolicy.data.hdf5 import open_hdf5, reading_hdf5
from driftpolicy.errors import UserError
from driftpolicy.tasks.robomimic.environment import (
    OBSERVATION_KEYS,
    make_simulator,
    modern_arguments,
    observe,
    place,
)


@dataclasses.dataclass(frozen=True)
class Demo:
    """One demonstration as it is stored."""

    name: str
    actions: Float64[np.ndarray, "steps action"]
    observations: Float32[np.ndarray, "rows observation"] | None
    """T+1 of them: ``obs``, and the last of ``next_obs``; None where the file has none."""
    rewards: Float64[np.ndarray, " steps"] | None
    """1 where the step ended in success; None where the file has none."""
    states: Float64[np.ndarray, "steps state"] | None
    """The simulator's state before each step."""


class DemoFile:
    """A file of demonstrations, open for reading. Names come in numeric order."""

    def __init__(self, path: Path):
        """Open ``path``.

        Raises:
            UserError: if it is missing, no HDF5, or holds no demonstrations.
        """
        self.path = path
        self._file = open_hdf5(path, extra="robomimic")
        try:
            self._data = self._file["data"]
            self.names = sorted(self._data, key=_number)
            stored = self._data.attrs.get("env_args", self._data.attrs.get("env_info"))
            stated = json.loads(stored)
            self.environment = str(stated["env_name"])
            self.arguments: dict[str, Any] = stated.get("env_kwargs") or {
                name: value for name, value in stated.items() if name != "env_name"
            }
        except (KeyError, TypeError, ValueError, AttributeError, OSError, RuntimeError):
            self._file.close()
            raise UserError(f"{path} holds no demonstrations in Robomimic's layout") from None
        version = stated.get("env_version") or self._data.attrs.get("repository_version")
        self.version = str(version) if version else "unknown"
        if not self.names:
            self._file.close()
            raise UserError(f"{path} holds no demonstrations")

    def __enter__(self) -> "DemoFile":
        """Return the file, for ``with``."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._file.close()

    @property
    def description(self) -> dict[str, Any]:
        """The maker of the file, if it was collected by this program."""
        stored = self._data.attrs.get("driftpolicy")
        return dict(json.loads(stored)) if stored else {}

    def masks(self) -> dict[str, list[str]]:
        """Return the named selections of demonstrations: ``train``, ``valid``, operators."""
        with reading_hdf5(self.path):
            masks = self._file.get("mask", {})
            return {
                name: sorted((item.decode() for item in masks[name][()]), key=_number)
                for name in sorted(masks)
            }

    def select(self, mask: str | None) -> list[str]:
        """Return the demonstrations of a mask, all for None.

        Raises:
            UserError: naming the masks there are.
        """
        if mask is None:
            return self.names
        masks = self.masks()
        if mask not in masks:
            known = ", ".join(masks) or "none"
            raise UserError(f"{self.path} has no mask {mask!r}; it has: {known}")
        absent = set(masks[mask]) - set(self.names)
        if absent or not masks[mask]:
            what = f"names {min(absent)}, which is not there" if absent else "is empty"
            raise UserError(f"{self.path}: its mask {mask!r} {what}")
        return masks[mask]

    def demo(self, name: str) -> Demo:
        """Read one demonstration.

        Raises:
            UserError: naming what is missing or does not fit.
        """
        with reading_hdf5(self.path):
            return self._read(name)

    def _read(self, name: str) -> Demo:
        group = self._data[name]
        seen = "obs" in group and all(key in group["obs"] for key in OBSERVATION_KEYS)
        wanted = [f"next_obs/{key}" for key in OBSERVATION_KEYS] if seen else ["states"]
        for part in ("actions", *wanted):
            if part not in group:
                raise UserError(f"{self.path}: {name} lacks {part}")
        actions = np.asarray(group["actions"], np.float64)
        observations = None
        if seen:
            observations = np.concatenate(
                [
                    np.concatenate([group["obs"][key], group["next_obs"][key][-1:]])
                    for key in OBSERVATION_KEYS
                ],
                axis=1,
                dtype=np.float32,
            )
        rewards = np.asarray(group["rewards"], np.float64) if "rewards" in group else None
        states = np.asarray(group["states"], np.float64) if "states" in group else None
        lengths = {
            len(actions),
            *(len(part) for part in (rewards, states) if part is not None),
            *((len(observations) - 1,) if observations is not None else ()),
        }
        if len(lengths) != 1 or not len(actions):
            raise UserError(f"{self.path}: the parts of {name} differ in length, or are empty")
        return Demo(name, actions, observations, rewards, states)

    def crc32(self) -> str:
        """Return a checksum of the contents of the file."""
        return crc32([self.path])


def _number(name: str) -> tuple[str, int]:
    """Return a key that sorts ``demo_10`` after ``demo_9``."""
    head, _, tail = name.rpartition("_")
    return (head, int(tail)) if tail.isdigit() else (name, -1)


class Replayer:
    """A simulator of a file's environment that is put into recorded states."""

    def __init__(self, file: DemoFile):
        """Make the simulator with robots, controllers and rates of the file.

        They are converted to robosuite 1.5.
        """
        self.simulator = make_simulator(modern_arguments(file.environment, file.arguments))
        self.simulator.reset()

    def place(self, state: Float64[np.ndarray, " state"]) -> Float32[np.ndarray, " observation"]:
        """Return what is observed in a recorded state.

        Raises:
            UserError: if it has another number of numbers than this robosuite's.
        """
        expected = len(self.simulator.sim.get_state().flatten())
        if len(state) != expected:
            raise UserError(
                f"the file's states have {len(state)} numbers, this robosuite's {expected}: "
                "the scene is another one"
            )
        return place(self.simulator, state)

    def succeeds(self) -> bool:
        """Return whether the present state is a success."""
        return bool(self.simulator._check_success())

    def start(self, state: Float64[np.ndarray, " state"]) -> None:
        """Start a fresh episode from a recorded state, with its controllers where the hand is."""
        self.simulator.reset()
        self.place(state)
        for robot in self.simulator.robots:
            robot._load_controller()  # it remembers the posture in which it was made
            robot.composite_controller.update_state()
            robot.composite_controller.reset()

    def complete(self, demo: Demo) -> Demo:
        """Return a demonstration with the observations and rewards of its states.

        What follows the last action is simulated.

        Raises:
            UserError: if it has no states, or they do not fit.
        """
        if demo.states is None:
            raise UserError(f"{demo.name} has neither observations nor states")
        self.start(demo.states[0])
        seen = [(self.place(state), self.succeeds()) for state in demo.states]
        values, _, _, _ = self.simulator.step(demo.actions[-1].clip(-1.0, 1.0))
        seen.append((observe(values), self.succeeds()))
        observations, successes = zip(*seen, strict=True)
        rewards = np.asarray(successes[1:], np.float64)
        return dataclasses.replace(demo, observations=np.stack(observations), rewards=rewards)
