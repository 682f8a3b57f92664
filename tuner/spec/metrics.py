"""The metrics by name: formula, unit, and which way is better. A new metric is one entry here.

TTFT = first token - send (intended send for an open loop). TPOT = (last token - first token) / (output
tokens - tokens in the first chunk). ITL = all gaps between chunks, pooled. E2E = last token - send.
Goodput = requests within every limit of the `goodput` section, per second; its share is of all that were
sent, the failed ones and those that are late already among them.
Cost of a million tokens = price of the deployment per second x seconds / tokens x 1,000,000, in the currency
of the experiment's prices: of input and output tokens together, or of output tokens alone. What a deployment
costs beyond its windows (starting, idling) is not in it.
Highest rate under the SLOs = requests per second up to which every SLO is met: the lower end of the interval
that a search over rates gives on one deployment. No window tells it: its formula here is NaN.
Accuracy loss = by how much log-probabilities of the baseline's tokens change in the mean, nats, beyond what
the baseline differs by from itself; score loss = the share of the baseline's score that is lost. They are
limits of the `accuracy` section; no window tells them either.

Metrics of kind "engine" are what the engine says of itself; they cannot be told (NaN) where it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

MAX_REQUEST_RATE = "max_request_rate"


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
    """The counts of one load point, summed over rounds; histograms merged.

    Attributes:
        good, late: see PointResult; good is None where no limits are set.
        engine: name of an engine's metric -> its figure over all rounds; absent where it is not offered.
        accelerators: that the deployment holds.
        price_per_hour: of the whole deployment; None where no price is known.
    """

    window_seconds: float
    requests: int
    failed: int
    output_tokens: float
    input_tokens: float
    histograms: Mapping[str, Quantiles]
    good: int | None = None
    late: int = 0
    engine: Mapping[str, float] = field(default_factory=dict)
    accelerators: int = 0
    price_per_hour: float | None = None

    @property
    def output_rate(self) -> float:
        """Output tokens per second; NaN for an empty window."""
        return _ratio(self.output_tokens, self.window_seconds)

    def at_output_rate(self, rate: float) -> Totals:
        """The same window, had it delivered `rate` output tokens per second, and input in proportion."""
        share = _ratio(rate, self.output_rate)
        return replace(self, output_tokens=self.output_tokens * share, input_tokens=self.input_tokens * share)


@dataclass(frozen=True, slots=True)
class Metric:
    """A named figure: `formula(totals)`, NaN where it cannot be told.

    Attributes:
        kind: "goodput" needs the section of that name, "engine" an engine that offers it, "accelerators" a
            deployment that takes some, "price" one whose price is known, "rates" a search over rates,
            "answers" that answers are compared with the baseline's.
        of_output_rate: it follows from the rate of output tokens (at a given share of input), so that the
            interval of that rate gives its own.
    """

    name: str
    better: Literal["higher", "lower"]
    formula: Callable[[Totals], float]
    quantile: float | None = None  # of the histogram it reads, where it is a percentile
    kind: Literal["client", "goodput", "engine", "accelerators", "price", "rates", "answers"] = "client"
    of_output_rate: bool = False


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


def _engine(name: str, better: Literal["higher", "lower"]) -> Metric:
    return Metric(name, better, lambda t: t.engine.get(name, float("nan")), kind="engine")


def _goodput(t: Totals) -> float:
    return float("nan") if t.good is None else _ratio(t.good, t.window_seconds)


def _goodput_share(t: Totals) -> float:
    return float("nan") if t.good is None else _ratio(t.good, t.requests + t.failed + t.late)


def _cost(t: Totals, tokens: float) -> float:
    if t.price_per_hour is None:
        return float("nan")
    return _ratio(t.price_per_hour / 3600 * t.window_seconds, tokens / 1e6)


METRICS: dict[str, Metric] = {
    m.name: m
    for m in [
        Metric("output_tokens_per_second", "higher", lambda t: t.output_rate, of_output_rate=True),
        Metric("input_tokens_per_second", "higher", lambda t: _ratio(t.input_tokens, t.window_seconds)),
        Metric(
            "total_tokens_per_second",
            "higher",
            lambda t: _ratio(t.output_tokens + t.input_tokens, t.window_seconds),
        ),
        Metric("requests_per_second", "higher", lambda t: _ratio(t.requests, t.window_seconds)),
        Metric(MAX_REQUEST_RATE, "higher", lambda t: float("nan"), kind="rates"),
        Metric("error_rate", "lower", lambda t: _ratio(t.failed, t.requests + t.failed)),
        *_latencies("ttft_ms"),
        *_latencies("tpot_ms"),
        *_latencies("itl_ms"),
        *_latencies("e2e_ms"),
        Metric(
            "output_tokens_per_second_per_accelerator",
            "higher",
            lambda t: _ratio(t.output_rate, t.accelerators),
            kind="accelerators",
            of_output_rate=True,
        ),
        Metric(
            "cost_per_million_tokens",
            "lower",
            lambda t: _cost(t, t.input_tokens + t.output_tokens),
            kind="price",
            of_output_rate=True,
        ),
        Metric(
            "cost_per_million_output_tokens",
            "lower",
            lambda t: _cost(t, t.output_tokens),
            kind="price",
            of_output_rate=True,
        ),
        Metric("goodput", "higher", _goodput, kind="goodput"),
        Metric("goodput_share", "higher", _goodput_share, kind="goodput"),
        Metric("accuracy_loss", "lower", lambda t: float("nan"), kind="answers"),
        Metric("score_loss", "lower", lambda t: float("nan"), kind="answers"),
        _engine("engine_running_mean", "higher"),  # requests in the running batch
        _engine("engine_running_max", "higher"),
        _engine("engine_waiting_mean", "lower"),  # requests in the engine's queue
        _engine("engine_waiting_max", "lower"),
        _engine("kv_cache_use_mean", "lower"),  # share, 0 to 1
        _engine("kv_cache_use_max", "lower"),
        _engine("preemptions_per_second", "lower"),
        _engine("prefix_cache_hit_rate", "higher"),  # share of prompt tokens (of blocks: TensorRT-LLM)
    ]
}
