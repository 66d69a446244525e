"""What several benchmarks say of a data file, in the sections of a table."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Shaped

from driftpolicy.data.transitions import Dataset
from driftpolicy.progress import format_bytes
from driftpolicy.tasks.benchmark import Section
from driftpolicy.tasks.task import Task


@dataclasses.dataclass(frozen=True)
class Rewards:
    """The worth of data for a task. Final observations do not count."""

    least: float
    """The least reward of a transition."""
    greatest: float
    """The greatest reward of a transition."""
    mean_return: float
    """The sum of an episode's rewards, averaged over episodes."""
    at_goal: int
    """Transitions with mask 0."""
    episodes_with_goal: int
    """Episodes with such a transition."""
    episodes: int
    """All episodes."""


def rewards_in(dataset: Dataset) -> Rewards:
    """Sum up the rewards of a dataset."""
    moves = ~dataset.rows.last
    episode = np.cumsum(dataset.rows.last) - dataset.rows.last
    returns = np.bincount(episode[moves], dataset.rows.rewards[moves], minlength=dataset.episodes)
    at_goal = moves & (dataset.rows.masks == 0)
    return Rewards(
        least=float(dataset.rows.rewards[moves].min()),
        greatest=float(dataset.rows.rewards[moves].max()),
        mean_return=float(returns.mean()),
        at_goal=int(at_goal.sum()),
        episodes_with_goal=len(np.unique(episode[at_goal])),
        episodes=dataset.episodes,
    )


def rewards_section(task: Task, dataset: Dataset) -> Section:
    """Say what data are worth for a task."""
    found = rewards_in(dataset)
    return {
        "task": task.name,
        "rewards": f"from {found.least:g} to {found.greatest:g}",
        "mean return": f"{found.mean_return:.1f} per episode",
        "at the goal": f"{found.at_goal:,} transitions, in {found.episodes_with_goal} of "
        f"{found.episodes} episodes",
    }


def origin_section(description: dict[str, Any], size: int) -> Section:
    """Say who made a file.

    Args:
        description: as :meth:`driftpolicy.tasks.benchmark.Benchmark.describe_data` returns it.
        size: bytes on the disk.
    """
    rest = dict(description)
    file = f"{rest.pop('path')}, {format_bytes(size)}, crc32 {rest.pop('crc32')}"
    origin = rest.pop("origin")
    if not rest:
        silent = "the file does not say who made it"
        return {"file": file, "origin": silent if origin == "unknown" else origin}
    maker = f"by {rest.pop('collected_by', '?')} on {rest.pop('machine', '?')}"
    note = rest.pop("note", None)
    versions = rest.pop("versions", {})
    seed = rest.pop("seed", "?")
    return {
        "file": file,
        "origin": f"{origin} {maker}" + (f"; {note}" if note else ""),
        "versions": _words(versions) if isinstance(versions, dict) else str(versions),
        "settings": _words(rest),
        "seed": str(seed),
    }


def _words(pairs: dict[str, Any]) -> str:
    """Return ``name value, name value``; a value that is a dictionary gets a line to itself."""
    named = {name.replace("_", " "): v for name, v in pairs.items() if v is not None}
    flat = ", ".join(f"{name} {v}" for name, v in named.items() if not isinstance(v, dict))
    nested = [
        f"{name}: {', '.join(f'{key} {value}' for key, value in v.items())}"
        for name, v in named.items()
        if isinstance(v, dict)
    ]
    return "\n".join([flat, *nested] if flat else nested)


def spread(values: Shaped[np.ndarray, " values"]) -> str:
    """Return ``2 to 10 (median 9)``, or the one value that all of them have."""
    least, median, greatest = values.min(), float(np.median(values)), values.max()
    if least == greatest:
        return f"{least:g}"
    return f"{least:g} to {greatest:g} (median {median:g})"
