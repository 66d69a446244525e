"""Where an environment says whether the task is done, and what counts as such an answer."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from driftpolicy.errors import UserError

SUCCESS_KEYS = ("success", "is_success")
"""The entries of ``info`` that say so, of which the first one counts."""


def success_of(value: Any) -> bool:
    """Return the bool that a reported success is: false or true, 0 or 1, also as an array of one.

    Raises:
        UserError: for NaN, a progress between 0 and 1, or anything else that is no yes or no.
    """
    numbers = np.asarray(value)
    if numbers.size == 1 and numbers.dtype.kind in "bfiu" and numbers.item() in (0, 1):
        return bool(numbers.item())
    text = " ".join(repr(value).split())
    raise UserError(
        f"success must be false or true (0 or 1), not {text[:60]}: a progress is no success"
    )


def reported_success(info: Mapping[str, Any]) -> bool | None:
    """Return whether a step was a success; None if ``info`` does not say.

    Raises:
        UserError: as :func:`success_of`.
    """
    return next((success_of(info[key]) for key in SUCCESS_KEYS if key in info), None)
