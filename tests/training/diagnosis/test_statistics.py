"""Spearman's correlation against numbers worked out by hand, and intervals over episodes."""

import csv

import numpy as np
import pytest

from driftpolicy.training.diagnosis.statistics import (
    measure,
    rank_correlation,
    stratified_rank_correlation,
    write_csv,
)


def test_rank_correlation():
    x = np.array([1.0, 2.0, 3.0, 4.0])
    assert rank_correlation(x, np.exp(x)) == pytest.approx(1)
    assert rank_correlation(x, -x) == pytest.approx(-1)
    assert rank_correlation(x, np.array([2.0, 1.0, 4.0, 3.0])) == pytest.approx(0.6)
    # Ties share their mean rank: 1.5, 1.5, 3 against 1, 2, 3.
    tied = rank_correlation(np.array([5.0, 5.0, 7.0]), np.array([1.0, 2.0, 3.0]))
    assert tied == pytest.approx(np.sqrt(3) / 2)
    assert np.isnan(rank_correlation(x, np.ones(4)))


def test_what_differs_between_strata_does_not_count():
    x = np.array([1.0, 2.0, 3.0, 11.0, 12.0, 13.0, 5.0])
    y = np.array([3.0, 2.0, 1.0, 13.0, 12.0, 11.0, 5.0])
    stratum = np.array([0, 0, 0, 1, 1, 1, 2])  # the last holds one value: not defined
    assert rank_correlation(x, y) > 0.4
    assert stratified_rank_correlation(x, y, stratum) == pytest.approx(-1)
    assert np.isnan(stratified_rank_correlation(x, y, np.arange(7)))


def test_an_interval_is_over_groups_and_not_over_rows():
    rng = np.random.default_rng(0)
    values = rng.normal(size=30)
    repeated, groups = np.repeat(values, 10), np.repeat(np.arange(30), 10)

    def mean(of):
        return lambda rows: float(of[rows].mean())

    once = measure("m", "", mean(values), np.arange(30))
    ten_times = measure("m", "", mean(repeated), groups)
    assert ten_times.value == pytest.approx(once.value)
    assert ten_times.units == once.units == 30
    width = once.high - once.low
    assert ten_times.high - ten_times.low == pytest.approx(width, rel=1e-6)
    assert width == pytest.approx(2 * 1.96 * values.std() / np.sqrt(30), rel=0.1)


def test_groups_may_lie_in_any_order():
    values, groups = np.array([1.0, 3.0, 1.0, 3.0]), np.array([7, 2, 7, 2])
    found = measure("m", "", lambda rows: float(values[rows].mean()), groups)
    assert (found.value, found.low, found.high, found.units) == (2, 1, 3, 2)


def test_a_row_for_each_measurement(tmp_path):
    found = measure("name", "meaning", lambda rows: 0.5, np.arange(3))
    write_csv(tmp_path / "found.csv", [found])
    with open(tmp_path / "found.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row == {"measurement": "name", "value": "0.5", "low": "0.5", "high": "0.5", "units": "3"}
