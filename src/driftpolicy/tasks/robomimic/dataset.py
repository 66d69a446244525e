"""Robomimic's datasets: where they are, and reading one as transitions of a task.

Rewards and ends follow the published protocol, whatever the file says: success - 1, and a
demonstration ends where it first succeeds, as an episode of the environment does.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from driftpolicy.data.checks import Demands, check_episodes
from driftpolicy.data.download import PublishedFile
from driftpolicy.data.episodes import EpisodeArrays, not_finite
from driftpolicy.data.findings import Finding, leave_out, read_whole
from driftpolicy.data.transitions import Dataset
from driftpolicy.errors import UserError
from driftpolicy.tasks.accepting import accepted_data
from driftpolicy.tasks.benchmark import LoadedData, LoadOptions, first_file
from driftpolicy.tasks.places import origin_by_place
from driftpolicy.tasks.robomimic.checks import against_task, misfit, sizes_of
from driftpolicy.tasks.robomimic.completion import Completion
from driftpolicy.tasks.robomimic.demonstrations import Demo, DemoFile
from driftpolicy.tasks.task import Task

BASE_URL = "https://huggingface.co/datasets/amandlek/robomimic/resolve/main/v1.5"
PUBLISHED_FOLDER = Path("~/.robomimic")
COLLECTED_FOLDER = Path("data")
VERSIONS = ("_v15", "_v141", "")
"""Of the layout, in the files' names, the newest first."""
_FILES = {"ph": "low_dim", "mh": "low_dim", "mg": "low_dim_sparse"}
"""How the file of each kind of data is called."""


def collected_path(dataset: str, folder: Path = COLLECTED_FOLDER) -> Path:
    """Return where demonstrations collected on this machine are kept."""
    return folder / f"{dataset}-collected.hdf5"


def published(task: Task) -> PublishedFile:
    """Return where a task's data are published."""
    return PublishedFile(
        dataset=task.dataset,
        server=BASE_URL,
        name=_published_names(task)[0],
        folder=PUBLISHED_FOLDER,
        check=check_file,
    )


def _published_names(task: Task) -> list[str]:
    """Return where Robomimic itself keeps a task's file, the newest layout first."""
    name = _FILES[task.kind]
    return [f"{task.family}/{task.kind}/{name}{version}.hdf5" for version in VERSIONS]


def check_file(path: Path) -> None:
    """Read all of a file once.

    Raises:
        UserError: if it is damaged.
    """
    with DemoFile(path) as file:
        for name in file.names:
            file.demo(name)


def find_dataset(task: Task, data: str | None = None) -> Path | None:
    """Return a task's prior data: ``data`` if given, else published, else collected, or None.

    Raises:
        UserError: if ``data`` is given and is not a file.
    """
    folder = PUBLISHED_FOLDER.expanduser()
    places = [folder / name for name in _published_names(task)]
    return first_file(data, [*places, collected_path(task.dataset)])


def describe(path: Path) -> dict[str, Any]:
    """Describe who made a file, as far as it says.

    Raises:
        UserError: if it is no file of demonstrations.
    """
    with DemoFile(path) as file:
        maker = {"origin": origin_by_place(path, PUBLISHED_FOLDER), **file.description}
        return {**maker, "path": str(path), "crc32": file.crc32()}


class Examined(NamedTuple):
    """What a file holds, and what is wrong with it."""

    demos: list[Demo]
    """Those that could be read, in numeric order."""
    findings: list[Finding]
    """What is wrong with the file, for training on it."""
    broken: list[str]
    """The names of the demonstrations that could not be read."""


def load_dataset(task: Task, path: Path, options: LoadOptions | None = None) -> Dataset:
    """Read a file as transitions of a task, as :func:`load_data` does."""
    prior = load_data(task, path, options or LoadOptions()).prior
    assert isinstance(prior, Dataset)
    return prior


def load_data(task: Task, path: Path, options: LoadOptions) -> LoadedData:
    """Read a file as transitions of a task; what is suspicious about them comes along.

    Args:
        task: one of Robomimic's.
        path: of the file.
        options: ``mask`` and ``skip_broken`` choose among its demonstrations.

    Raises:
        UserError: if the file is foreign, of another environment, lacks something, or holds NaN.
    """
    found = examine(task, path, options)
    return accepted_data(
        path,
        lambda remarks: to_dataset(found.demos, remarks),
        findings=found.findings,
        broken=found.broken,
        description=describe(path),
    )


def examine(task: Task | None, path: Path, options: LoadOptions) -> Examined:
    """Read a file and check it.

    Args:
        task: whose environment it is held against, and in which its states are replayed where that
            is needed; None where it is not known.
        path: of the file.
        options: ``mask`` and ``skip_broken`` choose among its demonstrations.

    Raises:
        UserError: if it is no file of demonstrations, or all of them are broken.
    """
    with DemoFile(path) as file:
        found = against_task(file, task) if task else []
        if any(finding.refused for finding in found):
            return Examined([], found, [])
        completion = Completion(file) if task else None
        names = file.select(options.mask)
        demos, broken = read_whole(names, lambda name: _read(file, name, completion))
        if not demos:
            raise UserError(
                f"{path}: none of its {len(names):,} demonstrations is whole: "
                f"{next(iter(broken.values()))}"
            )
        sizes = sizes_of(task.environment) if task else None
        if sizes:
            fitting = [demo for demo in demos if not misfit(demo, sizes)]
            if not fitting:
                found += [Finding(text, refused=True) for text in misfit(demos[0], sizes)]
                return Examined(demos, found, list(broken))
            broken |= {d.name: "; ".join(t) for d in demos if (t := misfit(d, sizes))}
            demos = fitting
        found += leave_out(broken, skip=options.skip_broken, warn=options.warn)
        found += completion.findings() if completion else []
    ones = np.ones(demos[0].actions.shape[1])
    demands = Demands(
        observation_dim=sizes.observation_dim if sizes else None,
        action_low=-ones,
        action_high=ones,
        rewards="success",
    )
    found += check_episodes(filter(None, map(_episode, demos)), demands)
    return Examined(demos, found, list(broken))


def _read(file: DemoFile, name: str, completion: Completion | None) -> Demo:
    """Read a demonstration, complete it if that is asked for, and refuse NaN in it."""
    try:
        demo = file.demo(name)
        demo = completion(demo) if completion else demo
    except UserError as error:  # the file is named by whoever shows this
        raise UserError(str(error).removeprefix(f"{file.path}: ")) from None
    episode = _episode(demo)
    if episode is not None and (bad := not_finite(episode)):
        raise UserError(bad)
    return demo


def _episode(demo: Demo) -> EpisodeArrays | None:
    """Return a demonstration as the checks see it; None where it was not seen."""
    if demo.observations is None:
        return None
    success = None if demo.rewards is None else demo.rewards >= 1.0
    ended = success is not None and bool(success.any())
    return EpisodeArrays(demo.name, demo.observations, demo.actions, demo.rewards, ended, success)


def to_dataset(demos: list[Demo], remarks: tuple[str, ...] = ()) -> Dataset:
    """Return demonstrations as transitions.

    Raises:
        UserError: if they do not fit each other.
    """
    parts = [_transitions(demo) for demo in demos]
    columns: dict[str, Any] = {
        name: np.concatenate([part[name] for part in parts]) for name in parts[0]
    }
    return Dataset(**columns, remarks=remarks)


def _transitions(demo: Demo) -> dict[str, np.ndarray]:
    """Return rows in the layout of :class:`Dataset`, up to the first success."""
    assert demo.observations is not None
    assert demo.rewards is not None
    success = demo.rewards >= 1.0
    steps = int(success.argmax()) + 1 if success.any() else len(success)
    ended = success[:steps].astype(np.float32)
    actions = demo.actions[:steps].clip(-1.0, 1.0).astype(np.float32)
    columns = {"actions": actions, "rewards": ended - 1.0, "masks": 1.0 - ended}
    padded = {name: np.concatenate([v, np.zeros_like(v[:1])]) for name, v in columns.items()}
    last = np.arange(steps + 1) == steps
    return {"observations": demo.observations[: steps + 1], **padded, "last": last}
