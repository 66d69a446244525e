"""Environments are the code of others: what they raise comes out in a line, what they give is real.

Whatever plays an environment does so through :class:`driftpolicy.envs.base.Session`, which asks
here; nothing that is refused reaches a replay, a result or a film.
"""

import math
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.errors import UserError


def one_line(error: BaseException) -> str:
    """Return an error of a user's code in one line, with the place where it was raised."""
    text = " ".join(str(error).split())
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {text} ({Path(where.filename).name}, line {where.lineno})"


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Run foreign code in here; what it raises, also by ``sys.exit``, becomes one line.

    Args:
        what: the line's beginning.

    Raises:
        UserError: for everything but a keyboard's interrupt; as it is if it was one already.
    """
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"{what}: {one_line(error)}") from error


def require_row(observation: Any, dim: int, where: str) -> None:
    """Refuse an observation that is no row of so many numbers, before it is converted.

    Args:
        observation: as an environment gave it.
        dim: how many numbers it has to have.
        where: when it did so, as words that end the line.

    Raises:
        UserError: saying what it is instead.
    """
    row = np.asarray(observation)
    if row.shape != (dim,) or row.dtype.kind not in "biuf":
        raise UserError(
            f"an observation has shape {row.shape} and numbers of {row.dtype}, not ({dim},) and "
            f"real ones, {where}; mend the environment"
        )


def require_finite(observation: np.ndarray, reward: float, where: str) -> None:
    """Refuse NaN and infinity, also those that float32 makes of numbers beyond its range.

    Args:
        observation: ``[D]``.
        reward: of the step before.
        where: when the environment gave them, as words that end the line.

    Raises:
        UserError: naming the number.
    """
    finite = np.isfinite(observation)
    if not finite.all():
        place = int(finite.argmin())
        raise UserError(
            f"the environment's observation holds {observation[place]} in number {place}, counted "
            f"from 0, {where}; mend the environment"
        )
    with np.errstate(over="ignore"):
        finite = math.isfinite(np.float32(reward))
    if not finite:
        raise UserError(f"the environment's reward is {reward:g} {where}; mend the environment")
