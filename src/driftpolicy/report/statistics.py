"""Statistics of scores over seeds and tasks, as Agarwal et al. (NeurIPS 2021) recommend them.

Scores are given task by task: a sequence with, for each task, the scores of its seeds ``[seeds]``.
The number of seeds may differ between tasks.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import stats

Scores = Sequence[Float[np.ndarray, " _"]]
RESAMPLES = 2000
"""Of a bootstrap; its intervals then move by a few hundredths of their width from seed to seed."""


def mean_deviation(values: Float[np.ndarray, " seeds"]) -> tuple[float, float]:
    """Return mean and sample deviation, ``sqrt(sum (x - mean)^2 / (n - 1))``; NaN for n = 1.

    It is what the paper prints: its 0.4 ± 0.9 are four zeros and a two.
    """
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return float(np.mean(values)), deviation


def seed_interval(values: Float[np.ndarray, " seeds"]) -> tuple[float, float]:
    """Student's 95% interval of the mean over seeds, ``mean ± t(n - 1) s / sqrt(n)``.

    NaN at both ends for one seed, of which nothing follows about others.
    """
    mean, deviation = mean_deviation(values)
    if len(values) < 2:
        return math.nan, math.nan
    half = float(stats.t.ppf(0.975, len(values) - 1)) * deviation / math.sqrt(len(values))
    return mean - half, mean + half


def interquartile_mean(scores: Scores) -> float:
    """Return the mean of the middle half of all scores: a quarter is cut off at each end."""
    return float(stats.trim_mean(np.concatenate(scores), 0.25))


def interquartile_interval(
    scores: Scores, *, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Return the 95% interval of :func:`interquartile_mean`, by a bootstrap stratified by tasks."""
    draws = np.concatenate(_resample(scores, seed, resamples), axis=1)
    return _percentiles(np.asarray(stats.trim_mean(draws, 0.25, axis=1)))


def probability_of_improvement(better: Scores, worse: Scores) -> float:
    """Return ``P(X > Y) + P(X = Y) / 2`` over tasks; X is a seed of ``better``, Y of ``worse``.

    The tasks of both must be the same, in the same order.
    """
    return float(_improvement([x[None] for x in better], [y[None] for y in worse])[0])


def improvement_interval(
    better: Scores, worse: Scores, *, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Return the 95% interval of :func:`probability_of_improvement`; both sides are drawn anew."""
    first, second = _resample(better, seed, resamples), _resample(worse, seed + 1, resamples)
    return _percentiles(_improvement(first, second))


def _resample(scores: Scores, seed: int, resamples: int) -> list[np.ndarray]:
    """Of each task ``[resamples, seeds]``: seeds drawn with replacement within the task."""
    generator = np.random.default_rng(seed)
    return [task[generator.integers(len(task), size=(resamples, len(task)))] for task in scores]


def _improvement(better: list[np.ndarray], worse: list[np.ndarray]) -> np.ndarray:
    """``[resamples]`` from ``[resamples, seeds]`` of each task."""
    tasks = [
        np.mean((np.sign(x[:, :, None] - y[:, None, :]) + 1) / 2, axis=(1, 2))
        for x, y in zip(better, worse, strict=True)
    ]
    return np.mean(tasks, axis=0)


def _percentiles(draws: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(draws, (2.5, 97.5))
    return float(low), float(high)
