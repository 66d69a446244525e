"""The prior data of a run: where they are, collected first if need be, and read."""

from pathlib import Path
from typing import Any

from rich.console import Console

from driftpolicy.config import TrainConfig
from driftpolicy.data.shards import open_shards, sharded
from driftpolicy.data.sources import missing_dataset, source_of
from driftpolicy.data.transitions import Prior
from driftpolicy.progress import JobProgress


def find_data(config: TrainConfig, console: Console) -> Path:
    """Return the file or folder of prior data; collect them now if the config says so.

    Raises:
        UserError: naming the three ways to get the data.
    """
    task = config.configured_task()
    source = source_of(task)
    path = source.find_dataset(task, config.data)
    if path is not None:
        return path
    if not config.collect_episodes:
        raise missing_dataset(task)
    path = source.collected_path(task.dataset)
    episodes = config.collect_episodes
    console.print(f"No data for {task.dataset}: collecting {episodes} episodes into {path}")
    counts = source.collect(task, path, episodes=episodes, seed=0, processes=config.processes)
    with JobProgress("collecting", episodes, unit="episodes") as progress:
        for count in counts:
            progress.update(count)
    return path


def load_data(config: TrainConfig, path: Path, console: Console) -> tuple[Prior, dict[str, Any]]:
    """Read a file of prior data, or open a folder of shards; return also who made them.

    Raises:
        UserError: if they cannot be read as the task's.
    """
    task = config.configured_task()
    if not sharded(task, path):
        source = source_of(task)
        return source.load_dataset(task, path, config.data_mask), source.describe(path)
    cache = Path(config.data_cache).expanduser() if config.data_cache else None
    with JobProgress("mapping shards", unit="shards") as progress:
        shards = open_shards(
            task,
            path,
            cache=cache,
            skip_broken=config.skip_broken,
            progress=progress.update,
            warn=lambda line: console.print(line, style="yellow", highlight=False, soft_wrap=True),
        )
    return shards, shards.description
