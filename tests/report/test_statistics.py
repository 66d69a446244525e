"""Statistics against closed forms, a brute-force loop, and their promise: coverage."""

import itertools
import math

import numpy as np
import pytest

from driftpolicy.report.statistics import (
    improvement_interval,
    interquartile_interval,
    interquartile_mean,
    mean_deviation,
    probability_of_improvement,
    seed_interval,
)
from tests import statistical


def test_the_deviation_is_the_one_the_paper_prints():
    mean, deviation = mean_deviation(np.array([0.0, 0.0, 0.0, 0.0, 2.0]))
    assert (round(mean, 1), round(deviation, 1)) == (0.4, 0.9)  # as cube-triple-task2 of bfn
    assert math.isnan(mean_deviation(np.array([3.0]))[1])


def test_students_interval_against_the_table():
    """t(0.975, 2) = 4.3027 and t(0.975, 4) = 2.7764, from any statistics book."""
    low, high = seed_interval(np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(high - 2.0, 4.3027 / math.sqrt(3), rtol=1e-4)
    np.testing.assert_allclose(low + high, 4.0)
    low, high = seed_interval(np.array([0.0, 0.0, 0.0, 0.0, 2.0]))
    np.testing.assert_allclose(high - 0.4, 2.7764 * math.sqrt(0.8) / math.sqrt(5), rtol=1e-4)
    assert all(map(math.isnan, seed_interval(np.array([5.0]))))


@pytest.mark.statistical
def test_students_interval_covers():
    """95% of the intervals of 5 normal draws hold the mean; 2000 of them, 7 standard errors."""
    draws = np.random.default_rng(statistical.seed(0)).normal(3.0, 2.0, (2000, 5))
    held = np.mean([low <= 3.0 <= high for low, high in map(seed_interval, draws)])
    error = (held - 0.95) / math.sqrt(0.95 * 0.05 / 2000)
    statistical.assert_within("standard errors", error, -7, 7)


def test_interquartile_mean_is_the_mean_of_the_middle_half():
    scores = [np.array([100.0, 1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0, -90.0])]
    assert interquartile_mean(scores) == np.mean([2.0, 3.0, 4.0, 5.0])
    assert interquartile_mean([np.array([7.0])]) == 7.0


def test_improvement_against_a_loop():
    generator = np.random.default_rng(1)
    better = [generator.integers(0, 4, n).astype(float) for n in (5, 3)]
    worse = [generator.integers(0, 4, n).astype(float) for n in (4, 5)]
    by_task = []
    for own, other in zip(better, worse, strict=True):
        points = [
            1.0 if x > y else 0.5 if x == y else 0.0 for x, y in itertools.product(own, other)
        ]
        by_task.append(sum(points) / len(points))
    expected = sum(by_task) / 2
    np.testing.assert_allclose(probability_of_improvement(better, worse), expected)
    np.testing.assert_allclose(probability_of_improvement(worse, better), 1 - expected)


def test_bootstrap_resamples_within_tasks():
    """With equal scores in each task there is nothing to resample, however far tasks differ."""
    scores = [np.full(5, 10.0), np.full(5, 20.0), np.full(5, 30.0), np.full(5, 90.0)]
    assert interquartile_interval(scores) == (25.0, 25.0)
    assert improvement_interval(scores, scores) == (0.5, 0.5)


def test_bootstrap_against_the_exact_distribution():
    """Of two scores 0 and 1 the four resamples are known, so are the percentiles of the mean."""
    scores = [np.array([0.0, 1.0])]
    assert interquartile_interval(scores) == (0.0, 1.0)  # each end has probability 1/4
    low, high = improvement_interval([np.array([1.0, 1.0])], [np.array([0.0, 2.0])])
    assert (low, high) == (0.0, 1.0)


def test_bootstrap_covers():
    """Of a uniform distribution the interquartile mean is 1/2. 40 seeds of 2 tasks, 150 times: a
    percentile bootstrap covers 95% up to small-sample error, which is allowed 4 points."""
    generator = np.random.default_rng(2)
    held = 0
    for trial in range(150):
        scores = list(generator.uniform(size=(2, 40)))
        low, high = interquartile_interval(scores, seed=trial, resamples=400)
        held += low <= 0.5 <= high
    assert held / 150 == pytest.approx(0.95, abs=0.04 + 2 * math.sqrt(0.95 * 0.05 / 150))


def test_the_same_seed_gives_the_same_interval():
    scores = [np.random.default_rng(3).uniform(size=6)]
    assert interquartile_interval(scores) == interquartile_interval(scores)
    assert interquartile_interval(scores) != interquartile_interval(scores, seed=1)
