"""Recordings of the point of ``tests/envs/own.py``, and independent writers of each format."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tasks.custom import own


def need(module: str, extra: str) -> None:
    """Skip the test where a format's library is not installed."""
    pytest.importorskip(module, reason=f"needs {module}: uv sync --extra {extra}")


def demonstrate(count: int = 6, seed: int = 0) -> list[dict[str, np.ndarray]]:
    """Ways home of four to six steps, the last one a success; in the user's units."""
    rng = np.random.default_rng(seed)
    environment = own.make()
    episodes = []
    for number in range(count):
        place, _ = environment.reset(seed=number)
        parts: dict[str, list] = {name: [] for name in ("actions", "rewards", "success")}
        seen = [place]
        steps = 4 + number % 3
        for step in range(steps):
            action = -place / (steps - step) + 0.01 * rng.normal(size=2)
            action = np.clip(action, own.LOW, own.HIGH).astype(np.float32)
            place, reward, _, _, info = environment.step(action)
            seen.append(place)
            parts["actions"].append(action)
            parts["rewards"].append(reward)
            parts["success"].append(info["success"])
        arrays = {name: np.array(values) for name, values in parts.items()}
        episodes.append({"observations": np.array(seen), **arrays})
    return episodes


def write_hdf5(path: Path, episodes: list[dict[str, np.ndarray]], rate: float | None = None):
    need("h5py", "hdf5")
    import h5py

    with h5py.File(path, "w") as file:
        for number, episode in enumerate(episodes):
            group = file.create_group(f"episode_{number}")
            for name, values in episode.items():
                group.create_dataset(name, data=values)
        if rate:
            file.attrs["control_rate"] = rate
    return path


def write_lerobot(
    folder: Path,
    episodes: list[dict[str, np.ndarray]],
    version: str,
    *,
    fps: int = 10,
    more: dict[str, str] | None = None,
) -> Path:
    """As LeRobot's pages describe v2.1 (a file per episode) and v3.0 (three episodes a file).

    Of an episode's T+1 observations the last is not stored: one frame per action. ``more`` maps
    further columns to parts of the episodes.
    """
    need("pyarrow", "lerobot")
    import pyarrow as pa

    parts = {"observation.state": "observations", "action": "actions", "next.reward": "rewards"}
    parts |= {"next.success": "success"} | (more or {})
    parts = {column: part for column, part in parts.items() if part in episodes[0]}
    frames = []
    begin = 0
    for number, episode in enumerate(episodes):
        steps = len(episode["actions"])
        columns: dict[str, Any] = {}
        for column, part in parts.items():
            values = episode[part][:steps]
            if values.ndim == 2:
                flat = pa.array(values.astype(np.float32).reshape(-1))
                fixed = number % 2 == 0  # both kinds of lists are found in the wild
                wide = values.shape[1]
                offsets = pa.array(np.arange(steps + 1, dtype=np.int32) * wide)
                columns[column] = (
                    pa.FixedSizeListArray.from_arrays(flat, wide)
                    if fixed and version == "v2.1"
                    else pa.ListArray.from_arrays(offsets, flat)
                )
            else:
                columns[column] = pa.array(values)
        columns["next.done"] = pa.array(np.arange(steps) == steps - 1)
        columns["timestamp"] = pa.array(np.arange(steps, dtype=np.float32) / fps)
        columns["frame_index"] = pa.array(np.arange(steps))
        columns["episode_index"] = pa.array(np.full(steps, number))
        columns["index"] = pa.array(begin + np.arange(steps))
        columns["task_index"] = pa.array(np.zeros(steps, np.int64))
        frames.append(pa.table(columns))
        begin += steps

    features = {
        name: {"dtype": "float32", "shape": [2], "names": None} for name in frames[0].schema.names
    }
    features["observation.images.top"] = {"dtype": "video", "shape": [3, 8, 8], "names": None}
    info = {"codebase_version": version, "fps": fps, "chunks_size": 1000, "features": features}
    info |= {"total_episodes": len(episodes), "total_frames": begin, "robot_type": "so101"}
    (folder / "meta").mkdir(parents=True)
    lengths = [len(frame) for frame in frames]
    if version == "v3.0":
        info["data_path"] = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
        for file in range(-(-len(frames) // 3)):
            _write(
                folder / info["data_path"].format(chunk_index=0, file_index=file),
                pa.concat_tables(frames[3 * file : 3 * file + 3]),
            )
        ends = np.cumsum(lengths)
        numbers = np.arange(len(frames))
        table = {
            "episode_index": numbers,
            "tasks": [["reach"]] * len(frames),
            "length": lengths,
            "data/chunk_index": 0 * numbers,
            "data/file_index": numbers // 3,
            "dataset_from_index": ends - lengths,
            "dataset_to_index": ends,
        }
        _write(folder / "meta/episodes/chunk-000/file-000.parquet", pa.table(table))
    else:
        info["data_path"] = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
        info["chunks_size"] = 4
        for number, frame in enumerate(frames):
            place = info["data_path"].format(episode_chunk=number // 4, episode_index=number)
            _write(folder / place, frame)
        lines = [
            {"episode_index": i, "tasks": ["reach"], "length": n} for i, n in enumerate(lengths)
        ]
        text = "\n".join(json.dumps(line) for line in lines) + "\n"
        (folder / "meta/episodes.jsonl").write_text(text)
    (folder / "meta/info.json").write_text(json.dumps(info))
    return folder


def _write(path: Path, table: Any) -> None:
    import pyarrow.parquet as parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path)


def minari_rows(rows: Any) -> Any:
    """A list of dictionaries as a dictionary of lists, as Minari's collector keeps them."""
    if isinstance(rows[0], dict):
        return {name: minari_rows([row[name] for row in rows]) for name in rows[0]}
    return list(rows)


def write_minari(
    root: Path,
    episodes: list[dict[str, np.ndarray]],
    name: str,
    form: str,
    *,
    infos: bool = True,
    space: Any = None,
) -> Path:
    """By Minari itself; ``root`` is where its datasets are."""
    import os
    import warnings

    need("minari", "minari")
    import minari
    from minari.data_collector import EpisodeBuffer

    before = os.environ.get("MINARI_DATASETS_PATH")
    os.environ["MINARI_DATASETS_PATH"] = str(root)
    buffers = []
    for number, episode in enumerate(episodes):
        steps = len(episode["actions"])
        buffers.append(
            EpisodeBuffer(
                id=number,
                observations=minari_rows(episode["observations"]),
                actions=list(episode["actions"]),
                rewards=list(episode["rewards"]),
                terminations=list(episode.get("terminations", np.zeros(steps, bool))),
                truncations=[False] * (steps - 1) + [True],
                infos={"success": np.append(False, episode["success"]), "x": np.zeros(steps + 1)}
                if infos
                else None,
            )
        )
    environment = own.make()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of authors that are not named
            minari.create_dataset_from_buffers(
                name,
                buffers,
                action_space=environment.action_space,
                observation_space=space or environment.observation_space,
                data_format=form,
            )
    finally:
        os.environ.pop("MINARI_DATASETS_PATH")
        if before is not None:
            os.environ["MINARI_DATASETS_PATH"] = before
    return root / name
