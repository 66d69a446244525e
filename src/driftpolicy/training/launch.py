"""From a config or a run folder to a finished run: data, processes, signals, display."""

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from driftpolicy import __version__
from driftpolicy.config import TrainConfig
from driftpolicy.data.checks import accept, short_episodes
from driftpolicy.errors import UserError
from driftpolicy.progress import format_seconds
from driftpolicy.runs import Run
from driftpolicy.runs.curves import plot_curves
from driftpolicy.runs.folder import RunFolder
from driftpolicy.training.accelerator import keep_compiled_programs
from driftpolicy.training.console import TrainingDisplay
from driftpolicy.training.evaluation import evaluation_workers
from driftpolicy.training.logs import open_sinks
from driftpolicy.training.loop import train
from driftpolicy.training.prior_data import find_data, load_data
from driftpolicy.training.records import Records
from driftpolicy.training.state import RunState
from driftpolicy.training.stopping import Stop
from driftpolicy.training.video import film


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
    keep_compiled_programs()
    with contextlib.ExitStack() as stack:
        for folder in folders:
            stack.enter_context(folder.lock())
        folders = [folder for folder in folders if not _complete(folder, console)]
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
            _warn(remark, console)
        task = config.configured_task(dataset.scaling)
        workers = stack.enter_context(evaluation_workers(task, config.processes))
        stack.enter_context(stop.listening())
        runs: list[RunState] = []
        records: list[Records] = []
        for run_config, folder in zip(configs, folders, strict=True):
            sinks = open_sinks(run_config.loggers, folder.path, json.loads(run_config.to_json()))
            runs.append(RunState(run_config, folder, dataset, data["crc32"]))
            stack.callback(runs[-1].close)
            records.append(Records(runs[-1], workers, sinks))
            stack.callback(records[-1].close)
            for remark in records[-1].remarks:
                _warn(remark, console)
        del dataset  # the runs keep what they need
        for run in runs:
            if run.step:
                where = f"{run.folder.path}: continuing" if len(runs) > 1 else "Continuing"
                console.print(f"{where} from step {run.step:,}", highlight=False)
        with TrainingDisplay(console, _title(configs)) as display:
            finished = train(records, stop=stop, report=lambda: display(records))
        for run in runs:
            _draw(run, console)
            if run.finished:
                _finish(run, data, console)
        if not finished:
            reason = stop.signal.name if stop.signal else f"the limit of {max_minutes:g} minutes"
            left = [run for run in runs if not run.finished]
            console.print(
                f"Stopped by {reason} at step {left[0].step:,}; go on with: "
                f"dfp resume {' '.join(str(run.folder.path) for run in left)}",
                highlight=False,
                soft_wrap=True,
            )
            return 128 + stop.signal if stop.signal else 0
    return 0


def _complete(folder: RunFolder, console: Console) -> bool:
    """Say that a run is finished; one whose small files are damaged ends once more.

    Raises:
        UserError: if there is no checkpoint from which they could be written again.
    """
    if not folder.finished():
        return False
    run = Run(folder.path)
    if not run.damage:
        console.print(f"{folder.path} is finished: {folder.summary}")
        return True
    if not run.checkpoints:
        raise UserError(f"{run.damage} (there is no checkpoint to write it again from)")
    _warn(f"{run.damage}; it is written again from the last checkpoint", console)
    return False


def _warn(remark: str, console: Console) -> None:
    console.print(
        f"Warning: {remark}", style="yellow", highlight=False, soft_wrap=True, markup=False
    )


def _draw(run: RunState, console: Console) -> None:
    """Draw the curves, unless a log was damaged while the run went on."""
    try:
        plot_curves(Run(run.folder.path), title=_title([run.config]), out=run.folder.curves)
    except UserError as error:
        _warn(f"no curves: {error}", console)


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


def _finish(run: RunState, data: dict[str, Any], console: Console) -> None:
    """Film, summarise, and print where everything is."""
    config, folder = run.config, run.folder
    video = None
    if config.video:
        try:
            film(
                run.agent.decision_rule,
                run.task,
                folder.video,
                seed=config.seed,
                episodes=2,
                label=config.method,
                key=run.keys.evaluate,
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
            "steps": run.step,
            "final": run.last_eval,
            "wall_s": round(run.wall_s, 1),
            "data": data,
            "video": video,
        }
    )
    console.print(
        f"Done in {format_seconds(run.wall_s)}: {folder.path} holds eval.csv, train.csv, "
        + ("curves.png, rollout.mp4" if video else "curves.png")
        + " and the checkpoints",
        highlight=False,
        soft_wrap=True,
    )
