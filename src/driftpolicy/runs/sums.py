"""Checksums of a finished run's small files, kept in its summary.

A digit that changes in a file of text leaves a file that can be read. The summary holds a checksum
of each such file and of itself; summaries of older versions hold none, and nothing is compared.
"""

import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from driftpolicy.errors import UserError

_KEY = "checksums"


def sealed(values: Mapping[str, Any], summary: Path, files: Iterable[Path]) -> dict[str, Any]:
    """Return the values of a summary with the checksums of files beside it and of itself."""
    sums = {path.name: _of_bytes(path.read_bytes()) for path in files if path.exists()}
    return {**values, _KEY: {**sums, summary.name: _of_values({**values, _KEY: sums})}}


def require_sealed(values: Mapping[str, Any], summary: Path) -> None:
    """Refuse a summary whose values are not those that it was written with.

    Raises:
        UserError: naming the file.
    """
    if _KEY in values and not _is_sealed(values, summary):
        raise UserError(_changed(summary))


def require_unchanged(path: Path, summary: Path) -> None:
    """Refuse a file that has changed since the summary beside it was written.

    A summary that is missing or damaged itself says nothing of the others.

    Raises:
        UserError: naming the file.
    """
    try:
        values = json.loads(summary.read_text(encoding="utf-8"))
        content = path.read_bytes()
    except (OSError, ValueError):
        return
    if not isinstance(values, dict) or _KEY not in values or not _is_sealed(values, summary):
        return
    found = _of_bytes(content)
    if values[_KEY].get(path.name, found) != found:
        raise UserError(_changed(path))


def _is_sealed(values: Mapping[str, Any], summary: Path) -> bool:
    sums = values[_KEY]
    if not isinstance(sums, dict) or summary.name not in sums:
        return False
    others = {name: value for name, value in sums.items() if name != summary.name}
    return sums[summary.name] == _of_values({**values, _KEY: others})


def _of_values(values: Mapping[str, Any]) -> str:
    return _of_bytes(json.dumps(values, sort_keys=True).encode())


def _of_bytes(content: bytes) -> str:
    """Return a CRC-32, the same for both ways in which systems end a line."""
    value = zlib.crc32(content.replace(b"\r\n", b"\n"))
    return f"{value:08x}"


def _changed(path: Path) -> str:
    further = f"the logs and the summary are written again by dfp resume {path.parent}"
    if path.name == "config.json":
        further = "dfp eval and dfp export go by the checkpoint, which has settings of its own"
    return (
        f"{path} was changed or damaged after the run had ended (its checksum is another): put the "
        f"file back; {further}"
    )
