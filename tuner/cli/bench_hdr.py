"""HdrHistogram's percentile distribution text, which its plotter reads, from a histogram of ours."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tuner.trial.histogram import RELATIVE_ERROR, Histogram

_TICKS_PER_HALF_DISTANCE = 5  # HdrHistogram's default


def hdr_text(histogram: Histogram) -> str:
    """The distribution in the histogram's own unit; each value within the histogram's relative error.

    The percentiles are those of HdrHistogram's own output: five to each halving of what is left to 100 %.
    """
    lines = [f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}", ""]
    for percentile in _percentiles(histogram.count):
        value = histogram.maximum if percentile >= 1 else histogram.quantile(percentile)
        rank = max(1, math.ceil(percentile * histogram.count))
        line = f"{value:12.3f} {percentile:14.12f} {rank:10d}"
        lines.append(line if percentile >= 1 else f"{line} {1 / (1 - percentile):14.2f}")
    mean, deviation = histogram.mean(), _deviation(histogram)
    largest = histogram.maximum if histogram.count else math.nan
    buckets = len(list(_values(histogram)))
    lines += [
        f"#[Mean    = {mean:12.3f}, StdDeviation   = {deviation:12.3f}]",
        f"#[Max     = {largest:12.3f}, Total count    = {histogram.count:12d}]",
        f"#[Buckets = {buckets:12d}, SubBuckets     = {1:12d}]",
    ]
    return "\n".join(lines) + "\n"


def _percentiles(count: int) -> Iterator[float]:
    """From 0 to 1, until less than one value is left beyond."""
    if not count:
        return
    at = 0.0
    while (1 - at) * count >= 1:
        yield at
        halvings = int(math.log2(1 / (1 - at))) + 1
        at += 1 / (_TICKS_PER_HALF_DISTANCE * 2**halvings)
    yield 1.0


def _values(histogram: Histogram) -> Iterator[tuple[float, int]]:
    """What each bucket answers with, and how many it holds."""
    stored = histogram.to_json()["buckets"]
    assert isinstance(stored, dict)
    gamma = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
    for key, times in stored.items():
        yield 2 * gamma ** int(key) / (gamma + 1), int(times)  # the bucket of zeros comes to 0


def _deviation(histogram: Histogram) -> float:
    if not histogram.count:
        return math.nan
    mean = histogram.mean()
    squares = math.fsum(times * (value - mean) ** 2 for value, times in _values(histogram))
    return math.sqrt(squares / histogram.count)
