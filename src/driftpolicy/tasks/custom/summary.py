"""The contents of recordings, and what is wrong with them, in the sections of a table."""

import numpy as np

from driftpolicy.agents.base import AgentConfig
from driftpolicy.data.checks import short_episodes
from driftpolicy.errors import in_brief, listing
from driftpolicy.progress import format_bytes
from driftpolicy.tasks.benchmark import Checks, LoadOptions, Section
from driftpolicy.tasks.custom.checks import check_recording
from driftpolicy.tasks.custom.columns import parse_columns
from driftpolicy.tasks.custom.dataset import describe
from driftpolicy.tasks.custom.formats import find_source, format_of
from driftpolicy.tasks.custom.probe import probe
from driftpolicy.tasks.custom.stored import ReadOptions
from driftpolicy.tasks.sections import spread
from driftpolicy.tasks.task import Task

_NO_REWARDS = "not recorded: train with --reward success, which makes -1 per step and 0 at success"


def inspect_recording(
    source: str, task: Task | None, columns: tuple[str, ...], options: LoadOptions
) -> list[Section]:
    """Say what is in a recording, compared with an environment if there is one.

    Args:
        source: a path, or the name of a dataset in the library of a format.
        task: of the environment.
        columns: what the observation and the action are made of, as ``--columns`` takes it.
        options: how it is read.

    Raises:
        UserError: if the recording cannot be read, or the environment not be made.
    """
    facts = probe(task) if task else None
    path = find_source(source)
    form = format_of(path)
    reading = ReadOptions(
        columns=parse_columns(columns), skip_broken=options.skip_broken, warn=options.warn
    )
    recording, description = form.read(path, reading), describe(path)
    lengths = recording.lengths
    ends = sum(trajectory.terminated for trajectory in recording.trajectories)
    returns = [
        t.rewards.sum(dtype=np.float64) for t in recording.trajectories if t.rewards is not None
    ]
    successes = [t.success.any() for t in recording.trajectories if t.success is not None]
    rate = recording.control_rate
    contents = {
        "episodes": f"{len(lengths):,}, {lengths.sum():,} steps",
        "episode length": f"{spread(lengths)} steps",
        "control rate": f"{rate:g} Hz" if rate else "not recorded",
        "returns": spread(np.array(returns)) if returns else _NO_REWARDS,
        "successes": f"{sum(successes):,} episodes" if successes else "not recorded",
        "terminated": f"{ends:,} of {len(lengths):,} episodes; others end with their recording",
        "read as": "\n".join(
            f"{part}: {', '.join(in_brief(name, 60) for name in names)}"
            for part, names in recording.columns.items()
        ),
        "not read": listing(recording.ignored),
    }
    if recording.left_out:
        contents["left out"] = f"{recording.left_out:,} broken episodes"
    numbers = {
        what: "\n".join(_ranges([getattr(t, what) for t in recording.trajectories]))
        for what in ("observations", "actions")
    }
    found = check_recording(recording, None, facts) + short_episodes(
        lengths, AgentConfig.chunk_length
    )
    size = sum(file.stat().st_size for file in form.files(path))
    place = {"data": str(path)}
    place["stored as"] = (
        f"{description['origin']}, {format_bytes(size)}, crc32 {description['crc32']}"
    )
    return [place, contents, numbers, Checks(found)]


def _ranges(parts: list[np.ndarray]) -> list[str]:
    """Return the least and the greatest value of each number, a line each."""
    low = np.min([part.min(axis=0) for part in parts], axis=0)
    high = np.max([part.max(axis=0) for part in parts], axis=0)
    return [f"{i}: {a:.4g} to {b:.4g}" for i, (a, b) in enumerate(zip(low, high, strict=True))]
