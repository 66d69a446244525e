"""The prior data of a run: where they are, collected first if need be, and read."""

import contextlib
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from driftpolicy.config import TrainConfig
from driftpolicy.data.checks import short_episodes
from driftpolicy.data.findings import accept
from driftpolicy.data.transitions import Dataset, Prior
from driftpolicy.envs.episodes import EpisodeRunner
from driftpolicy.envs.parallel import Workers
from driftpolicy.errors import UserError
from driftpolicy.progress import JobProgress, busy
from driftpolicy.tasks.benchmark import LoadedData, LoadOptions
from driftpolicy.tasks.registry import benchmark_of, missing_data

_OF_DATA = ("data", "data_mask", "data_cache", "skip_broken", "collect_episodes", "columns")


def find_data(config: TrainConfig, console: Console) -> Path:
    """Return the file or folder of prior data; collect them now if the config says so.

    Raises:
        UserError: naming the three ways to get the data.
    """
    task = config.configured_task()
    benchmark = benchmark_of(task)
    path = benchmark.find_data(task, config.data)
    if path is not None:
        return path
    if not config.collect_episodes:
        raise missing_data(task)
    path = benchmark.collected_path(task)
    episodes = config.collect_episodes
    console.print(f"No data for {task.dataset}: collecting {episodes} episodes into {path}")
    counts = benchmark.collect(task, path, episodes=episodes, seed=0, processes=config.processes)
    with JobProgress("collecting", episodes, unit="episodes") as progress:
        for count in counts:
            progress.update(count)
    return path


def require_fit(prior: Prior, workers: Workers[EpisodeRunner]) -> None:
    """Hold the sizes of prior data against the environment, before a step is made.

    Whoever reads the data may have done so already; nobody has to.

    Raises:
        UserError: if they differ, or the environment cannot be made.
    """
    sizes = {"observations": prior.observation_dim, "actions": prior.action_dim}
    for what, needed in workers.call(0, EpisodeRunner.sizes).items():
        if sizes[what] != needed:
            raise UserError(
                f"the prior data have {what} of {sizes[what]} numbers, the environment of "
                f"{needed}: are they of another environment?"
            )


def load_data_of_each(configs: Sequence[TrainConfig], console: Console) -> list[LoadedData]:
    """Read the prior data of several runs, each set once, and say what is suspicious about them.

    Runs of one dataset share the arrays that are the same for them.

    Raises:
        UserError: as :func:`find_data` and :func:`load_data`.
    """
    sets: dict[Hashable, LoadedData] = {}
    first: dict[str, Dataset] = {}
    loaded = []
    for config in configs:
        task = config.configured_task()
        key = (task, *(getattr(config, name) for name in _OF_DATA))
        if key not in sets:
            path = find_data(config, console)
            sets[key] = prior, data = load_data(config, path, console)
            origin = "of unknown origin" if data["origin"] == "unknown" else data["origin"]
            console.print(
                f"Data: {path} ({origin}; {prior.episodes:,} episodes, {len(prior):,} transitions)",
                highlight=False,
                soft_wrap=True,
            )
            short = accept(short_episodes(prior.lengths, config.agent.chunk_length))
            other = () if config.data else _other_collection(config, path, data)
            for remark in (*prior.remarks, *short, *other):
                console.print(f"Warning: {remark}", style="yellow", highlight=False, soft_wrap=True)
            if isinstance(prior, Dataset) and first.setdefault(task.dataset, prior) is not prior:
                prior.share(first[task.dataset])
        loaded.append(sets[key])
    return loaded


def _other_collection(config: TrainConfig, path: Path, data: dict[str, Any]) -> tuple[str, ...]:
    """Say if collected data that were found are not those which the run would have collected."""
    wanted, found = config.collect_episodes, data.get("episodes")
    if not wanted or data["origin"] != "collected" or found in (None, wanted):
        return ()
    return (
        f"{path} was there, with {found:,} episodes; this run would have collected {wanted:,}: "
        f"dfp data collect {config.configured_task().dataset} --episodes {wanted} --overwrite "
        "makes those",
    )


def load_data(config: TrainConfig, path: Path, console: Console) -> LoadedData:
    """Read a file of prior data, or open a folder of shards.

    Raises:
        UserError: if they cannot be read as the task's.
    """
    task = config.configured_task()
    with contextlib.ExitStack() as stack:
        shown: list[JobProgress] = []

        def progress(done: int, total: int) -> None:
            if not shown:
                shown.append(stack.enter_context(JobProgress("mapping shards", unit="shards")))
            shown[0].update(done, total)

        options = LoadOptions(
            mask=config.data_mask,
            cache=Path(config.data_cache).expanduser() if config.data_cache else None,
            skip_broken=config.skip_broken,
            progress=progress,
            warn=lambda line: console.print(line, style="yellow", highlight=False, soft_wrap=True),
        )
        if path.is_file():  # a folder of shards shows its progress itself
            stack.enter_context(busy("reading prior data"))
        return benchmark_of(task).load_data(task, path, options)
