"""One of this run's metrics as an earlier run measured it, or the nearest that it did measure.

A rate stands in for another rate, one percentile of a latency for another, what all accelerators make over
their number for what each makes, and its inverse for a cost: their shape is much the same, their level not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tuner.errors import SpecError
from tuner.search.auto.encoding import Rows
from tuner.search.earlier.reading import EarlierRun, EarlierTrial

_RATES = (
    "output_tokens_per_second",
    "requests_per_second",
    "goodput",
    "total_tokens_per_second",
    "max_request_rate",
)
_PERCENTILES = ("p95", "p90", "p99", "mean", "p50")
_LATENCIES = ("ttft", "tpot", "itl", "e2e")
_EACH = "_per_accelerator"
_FEWEST = 3  # trials that have it, from which on a metric is learned from


@dataclass(frozen=True, slots=True)
class Source:
    """Where a figure comes from: a metric, over the accelerators or not, or its inverse."""

    metric: str
    each: bool = False
    inverse: bool = False

    def of(self, trial: EarlierTrial, run: EarlierRun) -> float:
        """The figure; NaN where the trial has none."""
        value = trial.metrics.get(self.metric, math.nan)
        if self.each:
            value /= _accelerators(trial, run)
        if self.inverse:
            value = 1 / value if value else math.nan
        return value


@dataclass(frozen=True, slots=True)
class Figures:
    """A metric of every trial, (trials,), NaN where it is not known; `source` says what stands for it."""

    values: Rows
    source: Source
    exact: bool


def figures_of(metric: str, run: EarlierRun) -> Figures | None:
    """What an earlier run tells of a metric; None where it tells nothing."""
    for source in _sources(metric):
        values = np.array([source.of(trial, run) for trial in run.trials], dtype=float)
        if np.isfinite(values).sum() >= _FEWEST:
            return Figures(values, source, source == Source(metric))
    return None


def _sources(metric: str) -> Iterator[Source]:
    """The metric itself, then what may stand for it, the nearest first."""
    yield Source(metric)
    name = metric.rpartition(".")[2]  # load points are called differently
    if name != metric:
        yield Source(name)
    stem = name.partition("_")[0]
    if stem in _LATENCIES:
        yield from (Source(f"{stem}_{of}_ms") for of in _PERCENTILES)
    elif name in _RATES:
        yield from (Source(rate) for rate in _RATES)
    elif name.endswith(_EACH):
        yield from (Source(rate, each=True) for rate in _RATES)
    elif name.startswith("cost_per_"):
        yield Source(f"output_tokens_per_second{_EACH}", inverse=True)
        yield from (Source(rate, each=True, inverse=True) for rate in _RATES)


def _accelerators(trial: EarlierTrial, run: EarlierRun) -> float:
    try:
        return run.experiment.space.accelerators(trial.params) or math.nan
    except SpecError:
        return math.nan  # it depends on what the trial left to the engine
