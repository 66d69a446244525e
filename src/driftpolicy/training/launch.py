"""From a config or a run folder to a finished run: data, processes, signals, display."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from driftpolicy import __version__
from driftpolicy.data.sources import missing_dataset, source_of
from driftpolicy.envs.tasks import find_task
from driftpolicy.errors import UserError
from driftpolicy.progress import JobProgress, format_seconds
from driftpolicy.training.config import TrainConfig
from driftpolicy.training.console import TrainingDisplay
from driftpolicy.training.evaluation import evaluation_workers
from driftpolicy.training.logs import open_sinks
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
    """The file of prior data, collected now if there is none and the config says so.

    Raises:
        UserError: naming the three ways to get the data.
    """
    task = find_task(config.task)
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


def launch(folder: RunFolder, console: Console, *, max_minutes: float | None = None) -> int:
    """Run what the folder's config says, from its last checkpoint or from the start, to the end.

    Returns:
        The exit status: 0 when finished or out of time, 128 + n when stopped by signal n.

    Raises:
        UserError: for everything a user can mend.
    """
    config = folder.config()
    stop = Stop(max_minutes)
    with folder.lock():
        if folder.finished():
            console.print(f"{folder.path} is finished: {folder.summary}")
            return 0
        path = find_data(config, console)
        task = find_task(config.task)
        data = source_of(task).describe(path)
        dataset = source_of(task).load_dataset(task, path, config.data_mask)
        console.print(
            f"Data: {path} ({data['origin']}; {dataset.episodes:,} episodes, "
            f"{len(dataset):,} transitions)",
            highlight=False,
            soft_wrap=True,
        )
        sinks = open_sinks(config.loggers, folder.path, json.loads(config.to_json()))
        title = f"{config.method} on {config.task}, seed {config.seed}"
        with evaluation_workers(task, config.processes) as workers, stop.listening():
            trainer = Trainer(config, folder, dataset, workers, data["crc32"], sinks)
            try:
                if trainer.step:
                    console.print(f"Continuing from step {trainer.step:,}", highlight=False)
                with TrainingDisplay(console, title) as display:
                    finished = trainer.run(stop, display)
            finally:
                trainer.close()
        plot_curves(folder, config, title, folder.curves)
        if not finished:
            reason = stop.signal.name if stop.signal else f"the limit of {max_minutes:g} minutes"
            console.print(
                f"Stopped by {reason} at step {trainer.step:,}; go on with: "
                f"dfp resume {folder.path}",
                highlight=False,
                soft_wrap=True,
            )
            return 128 + stop.signal if stop.signal else 0
        _finish(folder, trainer, data, console)
    return 0


def _finish(folder: RunFolder, trainer: Trainer, data: dict[str, Any], console: Console) -> None:
    """Film, summarise, and say where everything is."""
    config = trainer.config
    video = None
    if config.video:
        try:
            film(
                trainer.agent,
                find_task(config.task),
                folder.video,
                seed=config.seed,
                episodes=2,
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
