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
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.errors import UserError, in_brief
from driftpolicy.tasks.custom.format import Format
from driftpolicy.tasks.custom.parquet import damaged, read_columns, require_pyarrow
from driftpolicy.tasks.custom.stored import Stored, StoredEpisode

STATE, ACTION, REWARD, SUCCESS = "observation.state", "action", "next.reward", "next.success"
VERSIONS = ("v2.0", "v2.1", "v3.0")
_LONG = 1000  # characters that no path within a dataset has
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

    def open(self, path: Path) -> Stored:
        """List the columns and the episodes of the index, in its order.

        Raises:
            UserError: if pyarrow is not installed, the version is another, or info or index are
                damaged or do not fit each other.
        """
        require_pyarrow()
        info = _info(path)
        features = info["features"]
        index = _index(path, info)

        def episodes(names: Collection[str]) -> Iterator[StoredEpisode]:
            ordered = "frame_index" in features
            columns = [*names, "episode_index", *(("frame_index",) if ordered else ())]
            opened: Path | None = None
            rows: dict[str, np.ndarray] | UserError = {}
            places: dict[int, np.ndarray] = {}
            for number, length, file in index:
                if file != opened:
                    opened, rows = file, _rows(file, columns)
                    places = {} if isinstance(rows, UserError) else _places(rows)
                if isinstance(rows, UserError):
                    yield StoredEpisode(f"episode {number}", rows)
                    continue
                frames = places.get(number, np.empty(0, np.int64))
                found = {name: rows[name][frames] for name in names}
                yield StoredEpisode(
                    f"episode {number}",
                    _unfit(file, number, length, rows, frames) or found,
                )

        return Stored(
            names=list(features),
            defaults={
                "observations": (STATE,),
                "actions": (ACTION,),
                "rewards": (REWARD,),
                "success": (SUCCESS,),
            },
            episodes=episodes,
            prefix="observation.",
            frames=True,
            control_rate=info.get("fps"),
            bookkeeping=_BOOKKEEPING,
        )

    def packages(self) -> Mapping[str, str]:
        """Return the package that reads Parquet files."""
        return {"pyarrow": "lerobot"}


def _rows(file: Path, columns: list[str]) -> dict[str, np.ndarray] | UserError:
    """Return columns of a file, or what is wrong with it."""
    try:
        return read_columns(file, columns)
    except UserError as error:
        return error


def _places(rows: dict[str, np.ndarray]) -> dict[int, np.ndarray]:
    """Return the rows of each episode in a file, in their order."""
    episodes = rows["episode_index"].reshape(-1)
    order = np.argsort(episodes, kind="stable")
    numbers, starts = np.unique(episodes[order], return_index=True)
    return dict(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True))


def _unfit(
    file: Path, number: int, length: int, rows: dict[str, np.ndarray], frames: np.ndarray
) -> UserError | None:
    """Return what is wrong with the frames of an episode, if anything."""
    if len(frames) != length:
        return UserError(
            f"{file} has {len(frames)} frames of episode {number}, the index says {length}"
        )
    if "frame_index" in rows:
        counted = rows["frame_index"][frames].reshape(-1)
        if not np.array_equal(counted, np.arange(length)):
            return UserError(
                f"{file}: the frame_index of episode {number} does not count from 0 to {length - 1}"
            )
    return None


def _info(path: Path) -> dict[str, Any]:
    file = path / "meta" / "info.json"
    with damaged(f"{file} is damaged or of an unknown version"):
        info = dict(json.loads(file.read_text()))
        version = in_brief(info["codebase_version"], 20)
        if not isinstance(info["features"], dict) or not isinstance(info["data_path"], str):
            raise TypeError("its features or its data_path")
    if version not in VERSIONS:
        raise UserError(
            f"{path} is a LeRobotDataset {version}; read are {', '.join(VERSIONS)}: convert it "
            "with LeRobot's own scripts"
        )
    rate = info.get("fps")
    number = isinstance(rate, int | float) and not isinstance(rate, bool)
    if rate is not None and not (number and 0 < rate < 1e9):
        raise UserError(f"{file}: its fps is {in_brief(rate, 40)}, no number above 0")
    return info | {"fps": None if rate is None else float(rate)}


def _index(path: Path, info: dict[str, Any]) -> list[tuple[int, int, Path]]:
    """Return the number of each episode, its frames and its file."""
    with damaged(f"{path}: its index of episodes is missing or damaged"):
        entries = list(_entries(path, info))
        index = []
        for number, length, place in entries:
            file = os.path.normpath(info["data_path"].format(**place))
            if os.path.isabs(file) or file.startswith("..") or len(file) > _LONG:
                raise ValueError(f"its data_path leads nowhere in it: {in_brief(file, 60)}")
            index.append((number, length, path / file))
        if len({number for number, _, _ in index}) < len(index):
            raise ValueError("an episode is listed twice")
    total = info.get("total_episodes", len(index))
    if total != len(index):
        raise UserError(
            f"{path}: meta/info.json says total_episodes {in_brief(total, 40)}, the index lists "
            f"{len(index)}: files are missing, or the recording was interrupted"
        )
    return index


def _entries(path: Path, info: dict[str, Any]) -> Iterator[tuple[int, int, dict[str, int]]]:
    """Yield of each episode its number, its frames, and what fills in ``data_path``."""
    if info["codebase_version"].startswith("v2"):
        chunk = int(info["chunks_size"])
        for line in (path / "meta" / "episodes.jsonl").read_text().splitlines():
            if line.strip():
                episode = json.loads(line)
                number = int(episode["episode_index"])
                place = {"episode_index": number, "episode_chunk": number // chunk}
                yield number, int(episode["length"]), place
        return
    places = ("data/chunk_index", "data/file_index")
    for file in sorted((path / "meta" / "episodes").rglob("*.parquet")):
        table = read_columns(file, ["episode_index", "length", *places])
        for row in range(len(table["length"])):
            chunk, number = (int(table[name][row, 0]) for name in places)
            place = {"chunk_index": chunk, "file_index": number}
            yield int(table["episode_index"][row, 0]), int(table["length"][row, 0]), place
