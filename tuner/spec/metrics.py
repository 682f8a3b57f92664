"""The metrics by name: formula, unit, and which way is better. A new metric is one entry here.

TTFT = first token - send (intended send for an open loop). TPOT = (last token - first token) / (output
tokens - tokens in the first chunk). ITL = all gaps between chunks, pooled. E2E = last token - send.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol


class Quantiles(Protocol):
    """What a formula needs of a histogram."""

    maximum: float

    def mean(self) -> float:
        """The exact mean; NaN when empty."""
        ...

    def quantile(self, q: float) -> float:
        """The value of nearest rank; NaN when empty."""
        ...


@dataclass(frozen=True, slots=True)
class Totals:
    """The counts of one load point, summed over rounds; histograms merged."""

    window_seconds: float
    requests: int
    failed: int
    output_tokens: int
    input_tokens: int
    histograms: Mapping[str, Quantiles]


@dataclass(frozen=True, slots=True)
class Metric:
    """A named figure: `formula(totals)`, NaN where it cannot be told."""

    name: str
    better: Literal["higher", "lower"]
    formula: Callable[[Totals], float]
    quantile: float | None = None  # of the histogram it reads, where it is a percentile


def _ratio(over: float, under: float) -> float:
    return over / under if under else float("nan")


def _latencies(histogram: str) -> list[Metric]:
    stem = histogram.removesuffix("_ms")

    def percentile(q: float) -> Callable[[Totals], float]:
        return lambda t: t.histograms[histogram].quantile(q)

    found = [
        Metric(f"{stem}_p{round(q * 100)}_ms", "lower", percentile(q), q) for q in (0.5, 0.9, 0.95, 0.99)
    ]
    found.append(Metric(f"{stem}_mean_ms", "lower", lambda t: t.histograms[histogram].mean()))
    found.append(
        Metric(
            f"{stem}_max_ms",
            "lower",
            lambda t: t.histograms[histogram].maximum if t.requests else float("nan"),
        )
    )
    return found


METRICS: dict[str, Metric] = {
    m.name: m
    for m in [
        Metric("output_tokens_per_second", "higher", lambda t: _ratio(t.output_tokens, t.window_seconds)),
        Metric("input_tokens_per_second", "higher", lambda t: _ratio(t.input_tokens, t.window_seconds)),
        Metric(
            "total_tokens_per_second",
            "higher",
            lambda t: _ratio(t.output_tokens + t.input_tokens, t.window_seconds),
        ),
        Metric("requests_per_second", "higher", lambda t: _ratio(t.requests, t.window_seconds)),
        Metric("error_rate", "lower", lambda t: _ratio(t.failed, t.requests + t.failed)),
        *_latencies("ttft_ms"),
        *_latencies("tpot_ms"),
        *_latencies("itl_ms"),
        *_latencies("e2e_ms"),
    ]
}
