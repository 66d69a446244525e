"""Means that do not depend on grouping."""

import math

import pytest

from driftpolicy.errors import UserError
from driftpolicy.training.logs import Means, open_sinks


def test_means_leave_out_what_was_not_measured():
    means = Means()
    for value in (1.0, math.nan, 2.0):
        means.add("a", value)
    assert means.mean("a") == 1.5
    assert math.isnan(means.mean("b"))
    again = Means.load(means.state())
    again.add("a", 6.0)
    assert again.mean("a") == 3.0
    assert means.mean("a") == 1.5


@pytest.mark.parametrize(("name", "extra"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")])
def test_a_missing_logger_names_its_extra(tmp_path, monkeypatch, name, extra):
    monkeypatch.setitem(__import__("sys").modules, extra, None)
    with pytest.raises(UserError, match=f"uv sync --extra {name}"):
        open_sinks([name], tmp_path, {})
