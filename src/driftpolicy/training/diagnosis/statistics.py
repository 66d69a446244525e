"""Rank correlation, and intervals for numbers of which several come from one episode."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata

from driftpolicy.data.files import write_atomically

_RESAMPLES = 2_000


class Measurement(NamedTuple):
    """A measured number with its 95% interval."""

    name: str
    meaning: str
    """What the number says, in one line."""
    value: float
    low: float
    high: float
    units: int
    """How many independent units (episodes or states) it comes from."""


def rank_correlation(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> float:
    """Return Spearman's rank correlation; equal values share their mean rank.

    It is NaN where one of the arguments is constant.
    """
    ranks = rankdata(np.stack([x, y]), axis=1)
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    norms = np.sqrt(np.sum(centred**2, axis=1))
    if not norms.all():
        return float("nan")
    return float(centred[0] @ centred[1] / norms.prod())


def stratified_rank_correlation(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], stratum: Int[np.ndarray, " n"]
) -> float:
    """Return the mean of the strata's rank correlations, weighted by their sizes.

    Strata in which it is not defined, those with a constant, are left out.
    """
    total, weight = 0.0, 0
    for one in np.unique(stratum):
        inside = stratum == one
        found = rank_correlation(x[inside], y[inside])
        if not np.isnan(found):
            total, weight = total + found * inside.sum(), weight + inside.sum()
    return total / weight if weight else float("nan")


def measure(
    name: str,
    meaning: str,
    statistic: Callable[[Int[np.ndarray, " rows"]], float],
    groups: Int[np.ndarray, " rows"],
    *,
    resamples: int = _RESAMPLES,
) -> Measurement:
    """Compute a statistic and its 95% interval by the bootstrap over whole groups of rows.

    The rows of an episode depend on each other, so episodes are drawn again and not rows: an
    interval over rows would be too narrow. Resamples in which the statistic is NaN are left out.

    Args:
        name: of the number.
        meaning: of the number, in one line.
        statistic: of the rows whose indices it is given, which may repeat.
        groups: the episode, or whatever else is independent, to which each row belongs.
        resamples: how many times to draw.
    """
    rng = np.random.default_rng(0)
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=groups[order][0] - 1))
    members = np.split(order, starts[1:])
    draws = []
    for _ in range(resamples):
        drawn = rng.integers(len(members), size=len(members))
        draws.append(statistic(np.concatenate([members[i] for i in drawn])))
    known = np.array(draws)[~np.isnan(draws)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    value = statistic(np.arange(len(groups)))
    return Measurement(name, meaning, value, float(low), float(high), len(members))


def write_csv(path: Path, found: Sequence[Measurement]) -> None:
    """Write one row for each measurement.

    Raises:
        UserError: if the file cannot be written.
    """
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(("measurement", "value", "low", "high", "units"))
    for one in found:
        rows.writerow((one.name, *(f"{v:.6g}" for v in one[2:5]), one.units))
    write_atomically(path, lambda file: file.write(text.getvalue().encode()), what="table")
