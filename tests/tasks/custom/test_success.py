"""A success is a yes or a no, and nothing in between is taken for one."""

import numpy as np
import pytest

from driftpolicy.errors import UserError
from driftpolicy.tasks.custom.success import reported_success, success_of


@pytest.mark.parametrize("yes", [True, 1, 1.0, np.bool_(True), np.ones(1), np.ones((1, 1), int)])
def test_yes_and_no(yes):
    assert success_of(yes) is True
    assert success_of(0 * yes) is False


@pytest.mark.parametrize(
    "value", [0.3, np.nan, 2, -1, None, "yes", [], np.ones(2), np.inf, {"a": 1}, "x\ny" * 999]
)
def test_anything_else_is_refused(value):
    with pytest.raises(UserError, match="success must be false or true") as error:
        success_of(value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


def test_the_first_entry_counts():
    assert reported_success({"x": 1}) is None
    assert reported_success({"is_success": 1, "success": 0.0}) is False
    with pytest.raises(UserError):
        reported_success({"success": 0.3})
