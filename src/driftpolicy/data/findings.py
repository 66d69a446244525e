"""What is suspicious about prior data, in lines of text, and what forbids training on them."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from driftpolicy.errors import UserError

SKIP = "--skip-broken leaves out what is broken"
"""What to do about broken episodes or shards among whole ones."""
_NAMED = 5  # so many are listed
_Read = TypeVar("_Read")


class Finding(NamedTuple):
    """One thing that is wrong with data, or likely so."""

    text: str
    """One line: what it is, and what to do."""
    refused: bool = False
    """Whether it makes training impossible."""


def accept(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return the lines to show before training.

    Raises:
        UserError: with the first finding that forbids training.
    """
    for finding in findings:
        if finding.refused:
            raise UserError(finding.text)
    return tuple(finding.text for finding in findings)


def read_whole(
    names: Iterable[str], read: Callable[[str], _Read]
) -> tuple[list[_Read], dict[str, str]]:
    """Read episodes one by one.

    Args:
        names: of the episodes.
        read: returns the one of a name, or raises a UserError that says what is broken about it.

    Returns:
        Those that could be read, and what is broken about each of the others, by name.
    """
    whole, broken = [], {}
    for name in names:
        try:
            whole.append(read(name))
        except UserError as error:
            broken[name] = str(error)
    return whole, broken


def leave_out(
    broken: dict[str, str], *, skip: bool, warn: Callable[[str], object]
) -> list[Finding]:
    """Report broken episodes: left out in a line each if that is asked for, else refused.

    Args:
        broken: what is broken about each of them, by name.
        skip: whether to leave them out.
        warn: called with a line for each that is left out.
    """
    if skip:
        for text in broken.values():
            warn(f"left out: {text}")
        return []
    texts = list(broken.values())
    if texts:
        more = f"{len(texts) - 1:,} more are broken; " if len(texts) > 1 else ""
        texts[0] += f" ({more}{SKIP})"
    return [Finding(text, refused=True) for text in texts[:_NAMED]]
