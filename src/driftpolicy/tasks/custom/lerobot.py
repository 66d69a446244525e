"""LeRobotDataset folders, v2.0, v2.1 and v3.0: their columns of numbers, not their videos.

``meta/info.json`` says the version, the rate and where files are. Episodes come from the index:
``meta/episodes.jsonl`` with a file for each episode (v2), ``meta/episodes/**/*.parquet`` with
several in a file (v3). A frame holds ``observation.state`` and the ``action`` taken there, and
maybe ``next.reward`` and ``next.success``, which say what came of it.

What follows an episode's last frame is not stored. If the task ended there (``next.success``),
nothing is learned from it, and the last frame stands for it; else the last action is left out.
``next.done`` alone says only that the recording ended.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.errors import UserError
from driftpolicy.tasks.custom.format import Format
from driftpolicy.tasks.custom.recording import Recording, Trajectory, complete, trajectory

STATE, ACTION, REWARD, SUCCESS = "observation.state", "action", "next.reward", "next.success"
VERSIONS = ("v2.0", "v2.1", "v3.0")
_BOOKKEEPING = ("timestamp", "frame_index", "episode_index", "index", "task_index", "next.done")


class LeRobotFormat(Format):
    """LeRobotDatasets."""

    def matches(self, path: Path) -> bool:
        """Return whether a folder is a LeRobotDataset."""
        return (path / "meta" / "info.json").is_file()

    def kind(self, path: Path) -> str:
        """Return ``LeRobotDataset`` and the version of the layout."""
        return f"LeRobotDataset {_info(path)['codebase_version']}"

    def files(self, path: Path) -> list[Path]:
        """List all files but videos and images."""
        kinds = (".json", ".jsonl", ".parquet")
        found = [*(path / "meta").rglob("*"), *(path / "data").rglob("*")]
        return sorted(file for file in found if file.suffix in kinds)

    def read(self, path: Path) -> Recording:
        """Read all episodes of the index, in its order.

        Raises:
            UserError: if pyarrow is not installed, the version is another, a file is missing or
                damaged, or something does not fit.
        """
        info = _info(path)
        features = info["features"]
        for column in (STATE, ACTION):
            if column not in features:
                raise UserError(f"{path} has no {column}; it has: {', '.join(sorted(features))}")
        columns = [name for name in (STATE, ACTION, REWARD, SUCCESS) if name in features]
        read, opened = [], Path()
        rows: dict[str, np.ndarray] = {}
        places: dict[int, np.ndarray] = {}
        for number, length, file in _index(path, info):
            if file != opened:
                opened, rows = file, _columns(file, [*columns, "episode_index"])
                places = _places(rows["episode_index"].reshape(-1))
            frames = places.get(number, np.empty(0, np.int64))
            if len(frames) != length:
                raise UserError(
                    f"{file} has {len(frames)} frames of episode {number}, the index says {length}"
                )
            read.append(_trajectory(path, number, {name: rows[name][frames] for name in columns}))
        ignored = tuple(sorted(set(features) - set(columns) - set(_BOOKKEEPING)))
        rate = float(info["fps"]) if info.get("fps") else None
        return complete(str(path), Recording(self.kind(path), read, rate, ignored))

    def packages(self) -> Mapping[str, str]:
        """Return the package that reads Parquet files."""
        return {"pyarrow": "lerobot"}


def _places(episodes: np.ndarray) -> dict[int, np.ndarray]:
    """Return the rows of each episode in a file, in their order."""
    order = np.argsort(episodes, kind="stable")
    numbers, starts = np.unique(episodes[order], return_index=True)
    return dict(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True))


def _trajectory(path: Path, number: int, frames: dict[str, np.ndarray]) -> Trajectory:
    state, action = frames[STATE], frames[ACTION]
    success = frames[SUCCESS].reshape(-1).astype(bool) if SUCCESS in frames else None
    terminated = success is not None and bool(success[-1])
    steps = len(action) - (not terminated)
    if steps == 0:
        raise UserError(f"{path}: episode {number} has one frame; needed are two")
    parts = {
        "observations": np.concatenate([state, state[-1:]])[: steps + 1],
        "actions": action[:steps],
        "terminations": np.arange(1, steps + 1) == (len(action) if terminated else 0),
    }
    if success is not None:
        parts["success"] = success[:steps]
    if REWARD in frames:
        parts["rewards"] = frames[REWARD].reshape(-1)[:steps]
    return trajectory(str(path), f"episode {number}", parts)


def _info(path: Path) -> dict[str, Any]:
    file = path / "meta" / "info.json"
    try:
        info = dict(json.loads(file.read_text()))
        version = str(info["codebase_version"])
        if not isinstance(info["features"], dict) or not isinstance(info["data_path"], str):
            raise TypeError("its features or its data_path")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is damaged or of an unknown version: {error}") from None
    if version not in VERSIONS:
        raise UserError(
            f"{path} is a LeRobotDataset {version}; read are {', '.join(VERSIONS)}: convert it "
            "with LeRobot's own scripts"
        )
    return info


def _index(path: Path, info: dict[str, Any]) -> list[tuple[int, int, Path]]:
    """Return the number of each episode, its frames and its file."""
    try:
        if info["codebase_version"].startswith("v2"):
            lines = (path / "meta" / "episodes.jsonl").read_text().splitlines()
            episodes = [json.loads(line) for line in lines if line.strip()]
            chunk = int(info["chunks_size"])
            places = [
                {"episode_index": n, "episode_chunk": n // chunk}
                for n in (int(episode["episode_index"]) for episode in episodes)
            ]
        else:
            names = ("episode_index", "length", "data/chunk_index", "data/file_index")
            files = sorted((path / "meta" / "episodes").rglob("*.parquet"))
            tables = [_columns(file, list(names)) for file in files]
            episodes = [
                {name: int(table[name][row, 0]) for name in names}
                for table in tables
                for row in range(len(table["length"]))
            ]
            places = [
                {"chunk_index": e["data/chunk_index"], "file_index": e["data/file_index"]}
                for e in episodes
            ]
        return [
            (
                int(episode["episode_index"]),
                int(episode["length"]),
                path / info["data_path"].format(**place),
            )
            for episode, place in zip(episodes, places, strict=True)
        ]
    except (OSError, ValueError, KeyError, TypeError, IndexError, ZeroDivisionError) as error:
        raise UserError(f"{path}: its index of episodes is missing or damaged: {error}") from None


def _columns(file: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Read columns of a Parquet file, each ``[rows, n]``."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError:
        raise UserError("LeRobotDatasets need pyarrow: uv sync --extra lerobot") from None
    try:
        table = parquet.read_table(file, columns=names)
        found = {}
        for name in names:
            column = table[name].combine_chunks()
            if column.null_count:
                raise UserError(f"{file}: {name} is not there in {column.null_count} rows")
            nested = isinstance(column, pa.ListArray | pa.FixedSizeListArray | pa.LargeListArray)
            values = column.flatten() if nested else column
            found[name] = values.to_numpy(zero_copy_only=False).reshape(len(column), -1)
        return found
    except UserError:
        raise
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{file} is missing, damaged or without {names}: {reason}") from None
