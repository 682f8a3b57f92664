"""Medians with bootstrap intervals, percentiles and ratios of what searches cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

_RESAMPLES = 2000
_AT_ONCE = 200_000_000  # numbers drawn in one array


@dataclass(frozen=True)
class Cost:
    """What one searcher's seeds cost on one surface; infinite where one never found a good configuration.

    Attributes:
        low, high: the 95 % bootstrap interval of the median (percentile method).
    """

    seeds: int
    found: float
    median: float
    low: float
    high: float
    p90: float
    median_trials: float

    @classmethod
    def of(cls, pairs: Iterable[Sequence[float] | None]) -> Cost:
        """Of (seconds, trials) a seed; None for never."""
        told = list(pairs)
        seconds = np.array([math.inf if pair is None else pair[0] for pair in told])
        trials = np.array([math.inf if pair is None else pair[1] for pair in told])
        medians = _resampled_medians(seconds)
        return cls(
            seeds=len(told),
            found=sum(pair is not None for pair in told) / len(told),
            median=quantile(seconds, 0.5),
            low=quantile(medians, 0.025),
            high=quantile(medians, 0.975),
            p90=quantile(seconds, 0.9),
            median_trials=quantile(trials, 0.5),
        )


def quantile(values: np.ndarray, q: float) -> float:
    """Between the two nearest ranks, which may be infinite."""
    ordered = np.sort(values)
    at = q * (len(ordered) - 1)
    low, share = math.floor(at), at - math.floor(at)
    if share == 0 or ordered[low] == ordered[min(low + 1, len(ordered) - 1)]:
        return float(ordered[low])
    return float(ordered[low] + share * (ordered[low + 1] - ordered[low]))


def _resampled_medians(values: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    count = len(values)
    rounds = min(_RESAMPLES, max(200, _AT_ONCE // count))
    found = [np.sort(values[rng.integers(0, count, count)])[(count - 1) // 2] for _ in range(rounds)]
    return np.array(found)


def geometric_mean(values: Sequence[float]) -> float:
    """NaN of nothing; infinite where one is."""
    if not values:
        return math.nan
    if any(math.isinf(v) for v in values):
        return math.inf
    return math.exp(sum(map(math.log, values)) / len(values))
