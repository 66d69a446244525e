"""From a config or a run folder to a finished run: data, processes, signals, display."""

import contextlib
import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from driftpolicy import __version__
from driftpolicy.config import TrainConfig
from driftpolicy.envs.episodes import EpisodeRunner
from driftpolicy.envs.parallel import Workers
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
from driftpolicy.training.prior_data import load_data_of_each, require_fit
from driftpolicy.training.records import Records
from driftpolicy.training.state import RunState
from driftpolicy.training.stopping import Stop
from driftpolicy.training.video import film
from driftpolicy.versions import versions


def launch(
    folders: Sequence[RunFolder],
    console: Console,
    *,
    max_minutes: float | None = None,
    fresh_episode: bool = False,
    new: bool = False,
) -> int:
    """Run what the folders' configs say, from their last checkpoints or from the start, to the end.

    Several are trained side by side; on an accelerator those that are alike (docs/speed.md) make
    their gradient steps as one program. Where they are ``new``, a refused start leaves no run.

    Returns:
        The exit status: 0 when finished or out of time, 128 + n when stopped by signal n.

    Raises:
        UserError: for everything a user can mend.
    """
    stop = Stop(max_minutes)
    keep_compiled_programs()
    with contextlib.ExitStack() as stack:
        stack.enter_context(stop.outliving(console))
        for folder in folders:
            stack.enter_context(folder.lock())
        folders = [folder for folder in folders if not _complete(folder, console)]
        if not folders:
            return 0
        configs = [folder.config() for folder in folders]
        try:
            records, data = _open_runs(folders, configs, console, stack, stop, fresh_episode)
        except UserError:
            for folder in folders if new else ():
                folder.discard()
            raise
        runs = [one.run for one in records]
        for run in runs:
            if run.step:
                where = f"{run.folder.path}: continuing" if len(runs) > 1 else "Continuing"
                fresh = " in a fresh episode" if fresh_episode and run.online else ""
                console.print(f"{where} from step {run.step:,}{fresh}", highlight=False)
        finished, failure = False, None
        with TrainingDisplay(console, _title(configs)) as display:
            try:
                finished = train(records, stop=stop, report=lambda: display(records))
            except UserError as error:  # the others have come to their end
                failure = error
        for one, description in zip(records, data, strict=True):
            run = one.run
            if run.error is None:
                _draw(run, console)
                if run.finished:
                    _finish(one, description, console)
        left = [run for run in runs if run.going]
        paths = " ".join(str(run.folder.path) for run in left)
        if left and not stop.output_lost:
            reason = stop.signal.name if stop.signal else f"the limit of {max_minutes:g} minutes"
            console.print(
                f"Stopped by {reason} at step {left[0].step:,}; go on with: dfp resume {paths}",
                highlight=False,
                soft_wrap=True,
            )
        if failure is not None:
            for run in runs:
                if run.error not in (None, failure):
                    _warn(f"{run.folder.path} failed too: {run.error}", console)
            raise failure
        if not finished:
            if stop.output_lost and not stop.signal:
                raise UserError(
                    f"nobody reads the output any more ({stop.output_lost.strerror}): stopped with "
                    f"a checkpoint at step {left[0].step:,}; go on with: dfp resume {paths}"
                )
            return 128 + stop.signal if stop.signal else 0
    return 0


def _open_runs(
    folders: Sequence[RunFolder],
    configs: Sequence[TrainConfig],
    console: Console,
    stack: contextlib.ExitStack,
    stop: Stop,
    fresh_episode: bool,
) -> tuple[list[Records], list[dict[str, Any]]]:
    """Read the runs' data, start their processes, and bring each to where its folder says it is.

    Returns:
        The runs with their logs, and what describes the data of each.
    """
    loaded = load_data_of_each(configs, console)
    workers: dict[int, Workers[EpisodeRunner]] = {}  # by set of data
    for config, (prior, _) in zip(configs, loaded, strict=True):
        if id(prior) not in workers:
            task = config.configured_task(prior.scaling)
            workers[id(prior)] = stack.enter_context(
                evaluation_workers(task, config.processes, config.environment_timeout)
            )
            require_fit(prior, workers[id(prior)])
    stack.enter_context(stop.listening())
    opened = []
    for config, folder, (prior, data) in zip(configs, folders, loaded, strict=True):
        run = RunState(config, folder, prior, data["crc32"], fresh_episode=fresh_episode)
        stack.callback(run.close)
        opened.append((run, workers[id(prior)]))
    records = []
    for run, evaluators in opened:  # these begin the logs: all runs can be made by now
        settings = json.loads(run.config.to_json())
        sinks = open_sinks(run.config.loggers, run.folder.path, settings, run.step)
        records.append(Records(run, evaluators, sinks))
        stack.callback(records[-1].close)
        for remark in records[-1].remarks:
            _warn(remark, console)
    return records, [data for _, data in loaded]


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


def _title(configs: Sequence[TrainConfig]) -> str:
    """Return what the runs are."""
    labels = dict.fromkeys(f"{config.method} on {config.task}" for config in configs)
    if len(labels) > 1:
        return f"{len(configs)} runs: {', '.join(labels)}"
    noun = "seed" if len(configs) == 1 else "seeds"
    return f"{next(iter(labels))}, {noun} {', '.join(str(config.seed) for config in configs)}"


def _finish(records: Records, data: dict[str, Any], console: Console) -> None:
    """Film, summarise, and print where everything is."""
    run = records.run
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
                patience=config.environment_timeout,
            )
            records.film()
            video = folder.video.name
        except UserError as error:
            _warn(f"no video: {error}", console)
    folder.write_summary(
        {
            "version": __version__,
            "versions": versions(),
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
