"""Where an environment says whether the task is done."""

from collections.abc import Mapping
from typing import Any

SUCCESS_KEYS = ("success", "is_success")
"""The entries of ``info`` that say so, of which the first one counts."""


def success_of(info: Mapping[str, Any]) -> bool | None:
    """Return whether a step was a success; None if ``info`` does not say."""
    return next((bool(info[key]) for key in SUCCESS_KEYS if key in info), None)
