"""Where results come from: the data of every run."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from driftpolicy.report.results import Result


@dataclasses.dataclass(frozen=True)
class DataRecord:
    """A file of prior data and what was trained on it."""

    dataset: str
    origin: str
    """``published``, ``collected``, ``unknown``, or ``not recorded``."""
    maker: str
    """Who made it, how and with what, as far as the file says."""
    crc32: str
    tasks: tuple[str, ...]
    runs: int


def data_records(results: Sequence[Result]) -> list[DataRecord]:
    """Return the files of prior data that the runs say they used, in the order of the tasks."""
    groups: dict[tuple[str, str, str, str], list[Result]] = {}
    for result in results:
        if result.evaluations:
            data = (result.summary and result.summary.data) or {}
            key = (
                result.cell.task.dataset,
                str(data.get("origin", "not recorded")),
                str(data.get("crc32", "")),
                _maker(data),
            )
            groups.setdefault(key, []).append(result)
    return [
        DataRecord(
            dataset=dataset,
            origin=origin,
            maker=maker,
            crc32=crc32,
            tasks=tuple(dict.fromkeys(run.cell.task.title for run in runs)),
            runs=len(runs),
        )
        for (dataset, origin, crc32, maker), runs in groups.items()
    ]


def _maker(data: Mapping[str, Any]) -> str:
    """Return in words what a file says of its maker; not where it was on the machine."""
    parts = []
    for name, value in data.items():
        if name in ("origin", "crc32", "path"):
            continue
        words = (
            ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        )
        parts.append(f"{name.replace('_', ' ')}: {words}")
    return "; ".join(parts)
