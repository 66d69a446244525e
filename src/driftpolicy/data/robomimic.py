"""Robomimic's demonstrations: where they are, and reading any of their layouts through h5py.

v0.1 to v1.5: ``data/demo_i/{actions, rewards, dones, states, obs/*, next_obs/*}`` with
``data.attrs["env_args"]``. robosuite's own recordings (``demo.hdf5``) hold ``states`` and
``actions`` only, with ``data.attrs["env_info"]``: what they saw comes from replaying the states.

Rewards and ends follow the protocol of ``benchmark.md``, whatever the file says: success - 1, and a
demonstration ends where it first succeeds, as an episode of the environment does.
"""

import contextlib
import dataclasses
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from driftpolicy.data.transitions import Dataset
from driftpolicy.envs.robomimic import OBSERVATION_KEYS, make_simulator, modern_arguments, place
from driftpolicy.envs.tasks import Task
from driftpolicy.errors import UserError

PUBLISHED_FOLDER = Path("~/.robomimic")
COLLECTED_FOLDER = Path("data")


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
        h5py = _h5py()
        self.path = path
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            reason = "no such file" if not path.exists() else f"not a readable HDF5 file ({error})"
            raise UserError(f"{path}: {reason}") from None
        try:
            self._data = self._file["data"]
            self.names = sorted(self._data, key=_number)
            stored = self._data.attrs.get("env_args", self._data.attrs.get("env_info"))
            told = json.loads(stored)
            self.environment = str(told["env_name"])
            self.arguments: dict[str, Any] = told.get("env_kwargs") or {
                name: value for name, value in told.items() if name != "env_name"
            }
        except (KeyError, TypeError, ValueError, AttributeError):
            self._file.close()
            raise UserError(f"{path} holds no demonstrations in Robomimic's layout") from None
        version = told.get("env_version") or self._data.attrs.get("repository_version")
        self.version = str(version) if version else "unknown"
        if not self.names:
            self._file.close()
            raise UserError(f"{path} holds no demonstrations")

    def __enter__(self) -> "DemoFile":
        """For ``with``."""
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
        """What the file says of its maker, if it was collected by this program."""
        stored = self._data.attrs.get("driftpolicy")
        return dict(json.loads(stored)) if stored else {}

    def masks(self) -> dict[str, list[str]]:
        """The named selections of demonstrations: ``train``, ``valid``, operators."""
        masks = self._file.get("mask", {})
        return {
            name: sorted((item.decode() for item in masks[name][()]), key=_number)
            for name in sorted(masks)
        }

    def select(self, mask: str | None) -> list[str]:
        """The demonstrations of a mask, all for None.

        Raises:
            UserError: naming the masks there are.
        """
        if mask is None:
            return self.names
        masks = self.masks()
        if mask not in masks:
            known = ", ".join(masks) or "none"
            raise UserError(f"{self.path} has no mask {mask!r}; it has: {known}")
        return masks[mask]

    def demo(self, name: str) -> Demo:
        """One demonstration.

        Raises:
            UserError: naming what is missing or does not fit.
        """
        group = self._data[name]
        try:
            actions = np.asarray(group["actions"], np.float64)
            observations = None
            if "obs" in group and all(key in group["obs"] for key in OBSERVATION_KEYS):
                rows = [np.asarray(group["obs"][key], np.float32) for key in OBSERVATION_KEYS]
                after = [group["next_obs"][key][-1:] for key in OBSERVATION_KEYS]
                observations = np.concatenate(
                    [np.concatenate(part).astype(np.float32) for part in zip(rows, after)], axis=1
                )
            elif "states" not in group:
                raise KeyError(f"obs/{OBSERVATION_KEYS[0]} or states")
        except KeyError as error:
            raise UserError(f"{self.path}: {name} lacks {error.args[0]}") from None
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
        """Identifies the contents of the file."""
        value = 0
        with open(self.path, "rb") as file:
            while block := file.read(1 << 20):
                value = zlib.crc32(block, value)
        return f"{value:08x}"


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise UserError("Robomimic's data need h5py: uv sync --extra robomimic") from None
    return h5py


def _number(name: str) -> tuple[str, int]:
    """``demo_10`` after ``demo_9``."""
    head, _, tail = name.rpartition("_")
    return (head, int(tail)) if tail.isdigit() else (name, -1)


# Where the data are, as the other sources say it (driftpolicy.data.sources).


def collected_path(dataset: str, folder: Path = COLLECTED_FOLDER) -> Path:
    """Where demonstrations collected on this machine are kept."""
    return folder / f"{dataset}-collected.hdf5"


def published_paths(task: Task) -> list[Path]:
    """Where Robomimic itself keeps a task's file, the newest layout first."""
    folder = PUBLISHED_FOLDER.expanduser() / task.family / task.kind
    name = "low_dim_sparse" if task.kind == "mg" else "low_dim"
    return [folder / f"{name}{version}.hdf5" for version in ("_v15", "_v141", "")]


def find_dataset(task: Task, data: str | None = None) -> Path | None:
    """The file of a task's prior data: ``data`` if given, else published, else collected, or None.

    Raises:
        UserError: if ``data`` is given and is not a file.
    """
    if data is not None:
        path = Path(data).expanduser()
        if not path.is_file():
            raise UserError(f"--data {data}: no such file")
        return path
    places = [*published_paths(task), collected_path(task.dataset)]
    return next((path for path in places if path.is_file()), None)


def describe(path: Path) -> dict[str, Any]:
    """Who made a file, as far as it says.

    Raises:
        UserError: if it is no file of demonstrations.
    """
    with DemoFile(path) as file:
        told = {"origin": "published", **file.description, "path": str(path)}
        return {**told, "crc32": file.crc32()}


def load_dataset(task: Task, path: Path, mask: str | None = None) -> Dataset:
    """Read a file as transitions of a task.

    Args:
        task: one of Robomimic's.
        path: of the file.
        mask: only the demonstrations of this mask.

    Raises:
        UserError: if the file is foreign, of another environment, lacks something, or holds NaN.
    """
    rows: dict[str, list[np.ndarray]] = {
        name: [] for name in ("observations", "actions", "rewards", "masks", "last")
    }
    with DemoFile(path) as file, contextlib.ExitStack() as stack:
        if file.environment != task.environment:
            raise UserError(f"{path} is of {file.environment}, {task.name} is {task.environment}")
        replayer: Replayer | None = None
        for name in file.select(mask):
            demo = file.demo(name)
            if demo.observations is None or demo.rewards is None:
                replayer = replayer or Replayer(file)
                demo = replayer.complete(demo)
            assert demo.observations is not None
            assert demo.rewards is not None
            if demo.actions.min() < -1.0 or demo.actions.max() > 1.0:
                demo = dataclasses.replace(demo, actions=demo.actions.clip(-1.0, 1.0))
            success = demo.rewards >= 1.0
            steps = int(success.argmax()) + 1 if success.any() else len(success)
            ended = success[:steps].astype(np.float32)
            pad = lambda values: np.concatenate([values, np.zeros_like(values[:1])])  # noqa: E731
            rows["observations"].append(demo.observations[: steps + 1])
            rows["actions"].append(pad(demo.actions[:steps].astype(np.float32)))
            rows["rewards"].append(pad(ended - 1.0))
            rows["masks"].append(pad(1.0 - ended))
            rows["last"].append(np.arange(steps + 1) == steps)
        stack.close()
    widths = {part.shape[1] for name in ("observations", "actions") for part in rows[name][:1]}
    try:
        arrays = {name: np.concatenate(parts) for name, parts in rows.items()}
        return Dataset(**arrays)
    except ValueError:
        raise UserError(f"{path}: its demonstrations differ in width ({widths})") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


class Replayer:
    """A simulator of a file's environment that is put into recorded states."""

    def __init__(self, file: DemoFile):
        """Robots, controllers and rates as the file says them, converted to robosuite 1.5."""
        self.simulator = make_simulator(modern_arguments(file.environment, file.arguments))
        self.simulator.reset()

    def place(self, state: Float64[np.ndarray, " state"]) -> Float32[np.ndarray, " observation"]:
        """What is seen in a recorded state.

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
        """Whether the present state is a success."""
        return bool(self.simulator._check_success())

    def start(self, state: Float64[np.ndarray, " state"]) -> None:
        """A fresh episode from a recorded state."""
        self.simulator.reset()
        self.place(state)

    def complete(self, demo: Demo) -> Demo:
        """A demonstration with the observations and rewards of its states.

        What follows the last action is simulated.

        Raises:
            UserError: if it has no states, or they do not fit.
        """
        if demo.states is None:
            raise UserError(f"{demo.name} has neither observations nor states")
        self.start(demo.states[0])
        seen = [(self.place(state), self.succeeds()) for state in demo.states]
        values, _, _, _ = self.simulator.step(demo.actions[-1].clip(-1.0, 1.0))
        from driftpolicy.envs.robomimic import observe

        seen.append((observe(values), self.succeeds()))
        observations, successes = zip(*seen, strict=True)
        rewards = np.asarray(successes[1:], np.float64)
        return dataclasses.replace(demo, observations=np.stack(observations), rewards=rewards)
