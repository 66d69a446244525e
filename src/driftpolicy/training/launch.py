"""From a config or a run folder to a finished run: data, processes, signals, display."""

import contextlib
import dataclasses
import json
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from driftpolicy import __version__
from driftpolicy.data.checks import accept, short_episodes
from driftpolicy.data.transitions import Prior
from driftpolicy.errors import UserError
from driftpolicy.progress import JobProgress, format_seconds
from driftpolicy.tasks.benchmark import LoadOptions
from driftpolicy.tasks.registry import benchmark_of, missing_data
from driftpolicy.training.config import TrainConfig
from driftpolicy.training.console import TrainingDisplay
from driftpolicy.training.evaluation import evaluation_workers
from driftpolicy.training.logs import open_sinks
from driftpolicy.training.loop import train
from driftpolicy.training.plots import plot_curves
from driftpolicy.training.restore import RunKeys
from driftpolicy.training.run import RunFolder
from driftpolicy.training.trainer import Trainer
from driftpolicy.training.video import film


class Stop:
    """Why and whether to stop at the next safe point: a signal, or the time limit."""

    def __init__(self, max_minutes: float | None):
        """``max_minutes`` counts from now; None sets no limit."""
        self._deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
        self.signal: signal.Signals | None = None

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.signal is not None or self.timed_out

    @property
    def timed_out(self) -> bool:
        """Whether the time limit has passed."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note Ctrl-C and SIGTERM instead of dying of them; a second one dies."""

        def note(number: int, _: Any) -> None:
            self.signal = signal.Signals(number)
            signal.signal(number, before[number])

        before: dict[int, Any] = {
            n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def find_data(config: TrainConfig, console: Console) -> Path:
    """The file or folder of prior data, collected now if there is none and the config says so.

    Raises:
        UserError: naming the three ways to get the data.
    """
    task = config.environment()
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


def load_data(config: TrainConfig, path: Path, console: Console) -> tuple[Prior, dict[str, Any]]:
    """The prior data in a file, or in a folder of shards, and who made them.

    Raises:
        UserError: if they cannot be read as the task's.
    """
    task = config.environment()
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
        loaded = benchmark_of(task).load_data(task, path, options)
    return loaded.prior, loaded.description


def launch(
    folders: Sequence[RunFolder], console: Console, *, max_minutes: float | None = None
) -> int:
    """Run what the folders' configs say, from their last checkpoints or from the start, to the end.

    Several are trained side by side in one program; they may differ in their seed alone.

    Returns:
        The exit status: 0 when finished or out of time, 128 + n when stopped by signal n.

    Raises:
        UserError: for everything a user can mend.
    """
    stop = Stop(max_minutes)
    with contextlib.ExitStack() as stack:
        for folder in folders:
            stack.enter_context(folder.lock())
        for folder in folders:
            if folder.finished():
                console.print(f"{folder.path} is finished: {folder.summary}")
        folders = [folder for folder in folders if not folder.finished()]
        if not folders:
            return 0
        configs = [folder.config() for folder in folders]
        _require_alike(configs)
        config = configs[0]
        path = find_data(config, console)
        dataset, data = load_data(config, path, console)
        console.print(
            f"Data: {path} ({data['origin']}; {dataset.episodes:,} episodes, "
            f"{len(dataset):,} transitions)",
            highlight=False,
            soft_wrap=True,
        )
        short = accept(short_episodes(dataset.lengths, config.agent.chunk_length))
        for remark in (*dataset.remarks, *short):
            console.print(f"Warning: {remark}", style="yellow", highlight=False, soft_wrap=True)
        task = config.environment(dataset.scaling)
        workers = stack.enter_context(evaluation_workers(task, config.processes))
        stack.enter_context(stop.listening())
        trainers = []
        for own, folder in zip(configs, folders, strict=True):
            sinks = open_sinks(own.loggers, folder.path, json.loads(own.to_json()))
            trainers.append(Trainer(own, folder, dataset, workers, data["crc32"], sinks))
            stack.callback(trainers[-1].close)
        del dataset  # the trainers keep what they need
        for trainer in trainers:
            if trainer.step:
                where = f"{trainer.folder.path}: continuing" if len(trainers) > 1 else "Continuing"
                console.print(f"{where} from step {trainer.step:,}", highlight=False)
        with TrainingDisplay(console, _title(configs)) as display:
            finished = train(trainers, stop, display)
        for trainer in trainers:
            plot_curves(
                trainer.folder, trainer.config, _title([trainer.config]), trainer.folder.curves
            )
            if trainer.finished:
                _finish(trainer.folder, trainer, data, console)
        if not finished:
            reason = stop.signal.name if stop.signal else f"the limit of {max_minutes:g} minutes"
            left = [trainer for trainer in trainers if not trainer.finished]
            console.print(
                f"Stopped by {reason} at step {left[0].step:,}; go on with: "
                f"dfp resume {' '.join(str(trainer.folder.path) for trainer in left)}",
                highlight=False,
                soft_wrap=True,
            )
            return 128 + stop.signal if stop.signal else 0
    return 0


def _require_alike(configs: Sequence[TrainConfig]) -> None:
    """Raises a UserError unless the runs differ in nothing but their seed."""
    for config in configs[1:]:
        if dataclasses.replace(config, seed=configs[0].seed) != configs[0]:
            raise UserError("runs trained side by side may differ in their seed alone")
    if len({config.seed for config in configs}) < len(configs):
        raise UserError("runs trained side by side must have different seeds")


def _title(configs: Sequence[TrainConfig]) -> str:
    """What the runs are."""
    noun = "seed" if len(configs) == 1 else "seeds"
    seeds = ", ".join(str(config.seed) for config in configs)
    return f"{configs[0].method} on {configs[0].task}, {noun} {seeds}"


def _finish(folder: RunFolder, trainer: Trainer, data: dict[str, Any], console: Console) -> None:
    """Film, summarise, and say where everything is."""
    config = trainer.config
    video = None
    if config.video:
        try:
            film(
                trainer.agent,
                trainer.task,
                folder.video,
                seed=config.seed,
                episodes=2,
                label=config.method,
                key=RunKeys(config.seed).evaluate,
            )
            video = folder.video.name
        except UserError as error:
            console.print(f"[yellow]No video: {error}[/yellow]", highlight=False, soft_wrap=True)
    folder.write_summary(
        {
            "version": __version__,
            "task": config.task,
            "method": config.method,
            "seed": config.seed,
            "steps": trainer.step,
            "final": trainer.last_eval,
            "wall_s": round(trainer.wall_s, 1),
            "data": data,
            "video": video,
        }
    )
    console.print(
        f"Done in {format_seconds(trainer.wall_s)}: {folder.path} holds eval.csv, train.csv, "
        + ("curves.png, rollout.mp4" if video else "curves.png")
        + " and the checkpoints",
        highlight=False,
        soft_wrap=True,
    )
