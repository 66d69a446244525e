"""The Python API: what ``dfp`` does, from Python, in as few words."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from driftpolicy.errors import UserError
from driftpolicy.runs import Run, load_run
from driftpolicy.runs.folder import RunFolder
from driftpolicy.settings import SettingsFile, Settled, settle
from driftpolicy.training.accelerator import default_environments
from driftpolicy.training.launch import launch


def train(
    task: str | None = None,
    method: str | None = None,
    *,
    preset: str | None = None,
    config: str | Path | None = None,
    runs: str | Path = "runs",
    run: str | Path | None = None,
    max_minutes: float | None = None,
    console: Console | None = None,
    **settings: Any,
) -> Run:
    """Train a policy, offline and then online, as ``dfp train`` does.

    Ctrl-C and SIGTERM stop it with a checkpoint; :func:`resume` goes on.

    Args:
        task: the task's name; ``gymnasium:ID`` or ``gymnasium:file.py:function`` for an environment
            of yours; None takes the preset's.
        method: the method's name, or ``file.py:Class`` of yours; by default ``dfp``.
        preset: ``quickstart``, ``small``, ``short`` or ``paper``, the default.
        config: a TOML or JSON file with what ``config.json`` holds; the arguments here win over it.
        runs: where the run's folder ``<task>/<method>/seed<k>`` is made.
        run: the run's folder itself, instead.
        max_minutes: stop with a checkpoint after so many minutes.
        console: where progress is shown; by default the terminal.
        **settings: fields of :class:`driftpolicy.config.TrainConfig` and of the method's config,
            such as ``seed=1`` or ``best_of=4``.

    Returns:
        The run; ``run.finished`` says whether it came to its end.

    Raises:
        UserError: for everything that a user can mend, in one line.
    """
    (folder,) = create_runs(
        task, method, [settings], preset=preset, config=config, runs=runs, run=run
    )
    launch([folder], console or Console(), max_minutes=max_minutes, new=True)
    return load_run(folder.path)


def train_seeds(
    task: str | None,
    method: str | None = None,
    *,
    seeds: Sequence[int],
    preset: str | None = None,
    config: str | Path | None = None,
    runs: str | Path = "runs",
    max_minutes: float | None = None,
    console: Console | None = None,
    **settings: Any,
) -> list[Run]:
    """Train several seeds side by side, each an ordinary run; on an accelerator as one program.

    The arguments are those of :func:`train`.

    Raises:
        UserError: for everything that a user can mend; the other runs go on to their end first.
    """
    each = [settings | {"seed": seed} for seed in seeds]
    folders = create_runs(task, method, each, preset=preset, config=config, runs=runs)
    launch(folders, console or Console(), max_minutes=max_minutes, new=True)
    return [load_run(folder.path) for folder in folders]


def resume(
    *paths: str | Path,
    max_minutes: float | None = None,
    fresh_episode: bool = False,
    console: Console | None = None,
) -> list[Run]:
    """Continue runs from their last checkpoints, side by side, as ``dfp resume`` does.

    Args:
        *paths: the runs' folders.
        max_minutes: stop with checkpoints after so many minutes.
        fresh_episode: begin new episodes instead of going on in the middle of those stored, which
            an environment that is not deterministic does not reproduce.
        console: where progress is shown; by default the terminal.

    Raises:
        UserError: for everything that a user can mend.
    """
    folders = find_runs(paths)
    launch(folders, console or Console(), max_minutes=max_minutes, fresh_episode=fresh_episode)
    return [load_run(folder.path) for folder in folders]


def find_runs(paths: Sequence[str | Path]) -> list[RunFolder]:
    """Return the folders of runs, before a lock file is made in one that holds none.

    Raises:
        UserError: if a folder holds no run, or its config is damaged.
    """
    folders = [RunFolder(Path(path)) for path in paths]
    for folder in folders:
        folder.config()
    return folders


def create_runs(
    task: str | None,
    method: str | None,
    settings: Sequence[Mapping[str, Any]],
    *,
    preset: str | None = None,
    config: str | Path | None = None,
    runs: str | Path = "runs",
    run: str | Path | None = None,
) -> list[RunFolder]:
    """Make the folders of new runs, each with its config.

    Args:
        task: as in :func:`train`.
        method: as in :func:`train`.
        settings: of each run.
        preset: as in :func:`train`.
        config: as in :func:`train`.
        runs: where the folders are made.
        run: the folder of a single run, instead.

    Raises:
        UserError: for a mistake in the settings, or a folder that holds a run already.
    """
    plans = plan_runs(task, method, settings, preset=preset, config=config, runs=runs, run=run)
    with contextlib.ExitStack() as locks:
        for folder, settled in plans:
            locks.enter_context(folder.lock())
            folder.require_free(settled.config)
        for folder, settled in plans:
            folder.create(settled.config)
    return [folder for folder, _ in plans]


def plan_runs(
    task: str | None,
    method: str | None,
    settings: Sequence[Mapping[str, Any]],
    *,
    preset: str | None = None,
    config: str | Path | None = None,
    runs: str | Path = "runs",
    run: str | Path | None = None,
) -> list[tuple[RunFolder, Settled]]:
    """Return the folders and the settings of new runs, and make nothing.

    The arguments are those of :func:`create_runs`.

    Raises:
        UserError: for a mistake in the settings.
    """
    if run is not None and len(settings) > 1:
        raise UserError("several runs need a folder each: name where they are made (runs)")
    file = SettingsFile.read(config) if config is not None else None
    environments = default_environments(len(settings))
    machine = {"num_envs": environments} if environments > 1 else {}
    plans = []
    for values in settings:
        settled = settle(task, method, preset, values, file=file, machine=machine)
        folder = RunFolder(Path(run)) if run else RunFolder.of(settled.config, Path(runs))
        plans.append((folder, settled))
    return plans
