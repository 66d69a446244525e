"""What is suspicious about prior data, in lines of text, and what forbids training on them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from driftpolicy.errors import UserError


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


def short_episodes(lengths: Int[np.ndarray, " episodes"], chunk_length: int) -> list[Finding]:
    """Report the episodes of which no whole chunk can be imitated.

    Args:
        lengths: steps of each episode.
        chunk_length: H.
    """
    short = int(np.sum(lengths < chunk_length))
    if not short:
        return []
    what = f"shorter than a chunk of {chunk_length} steps: {short:,} of {len(lengths):,} episodes"
    if short == len(lengths):
        return [Finding(f"{what}; nothing can be imitated, lower --chunk-length", refused=True)]
    return [Finding(f"{what}, which hold none to imitate; lower --chunk-length, or drop them")]
