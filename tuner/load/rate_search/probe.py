"""What one probe at one rate says about each SLO: how many requests were late, and how many may be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuner.spec.metrics import METRICS, Metric
from tuner.trial.histogram import Histogram
from tuner.trial.rounds import PointResult

# Requests that failed have no such latency, so they are late; timeouts are in these histograms already.
_FAILED_ARE_LATE = ("ttft_ms", "e2e_ms", "tpot_ms")
_HOLD_TIMEOUTS = ("ttft_ms", "e2e_ms")
_SHARES = ("error_rate", "goodput_share")


@dataclass(frozen=True, slots=True)
class SloLimit:
    """One SLO as a share of late ones: `ttft_p99_ms: 200` lets 1 % of the requests be later than 200 ms.

    Attributes:
        metric: a percentile of METRICS, error_rate or goodput_share; its load point may stand before it.
        limit: in the metric's unit.
    """

    metric: str
    limit: float

    def __post_init__(self) -> None:
        known = METRICS.get(self._name)
        if self._name not in _SHARES and (known is None or known.quantile is None):
            raise ValueError(
                f"max_request_rate under {self.metric!r}: got no share of late requests; would be right: "
                "a percentile such as ttft_p99_ms, error_rate or goodput_share"
            )

    @property
    def allowed(self) -> float:
        """The share that may be late: 1 - q of a percentile, the limit of an error rate."""
        if self._known.quantile is not None:
            return round(1 - self._known.quantile, 9)
        return self.limit if self._known.better == "lower" else round(1 - self.limit, 9)

    def share(self, point: PointResult) -> Share:
        """How many of a probe's requests (or gaps, for itl) were late."""
        failed = sum(point.errors.values())
        if self._name == "error_rate":
            return Share(failed, failed + point.requests, self.allowed)
        if self._name == "goodput_share":
            sent = point.requests + failed + point.late
            return Share(sent - (point.good or 0), sent, self.allowed)
        name = f"{self._name.rsplit('_', 2)[0]}_ms"
        histogram = point.histograms[name]
        if name not in _FAILED_ARE_LATE:
            failed = 0
        elif name in _HOLD_TIMEOUTS:
            failed -= point.errors.get("timeout", 0)
        late = histogram.count - _count_within(histogram, self.limit) + failed
        return Share(late, histogram.count + failed, self.allowed)

    @property
    def _name(self) -> str:
        return self.metric.rpartition(".")[2]

    @property
    def _known(self) -> Metric:
        return METRICS[self._name]


@dataclass(frozen=True, slots=True)
class Share:
    """`late` of `of` were late, and a share of `allowed` may be."""

    late: int
    of: int
    allowed: float

    @property
    def met(self) -> bool:
        """Whether no more were late than may be; False where there were none."""
        return self.of > 0 and self.late <= self.allowed * self.of

    @property
    def strain(self) -> float:
        """The late ones as a multiple of those that may be; infinite where none may be, or none were sent."""
        return self.late / (self.allowed * self.of) if self.allowed * self.of else math.inf


@dataclass(frozen=True, slots=True)
class Probe:
    """One open-loop window at one rate.

    Attributes:
        rate: requests per second, as asked for.
        shares: metric of an SLO -> its share.
        over_saturated: the queue grew, or the probe was ended early because it did. The latencies of such a
            window depend on its length; kept up for long, every request would be late, and so they count.
        usable: False for a client-bound or invalid window: it says nothing about the engine.
        seconds: how long it took, ramp and drain included.
        cut_short: it was ended early.
        why: it is not usable, one line; "" where it is.
    """

    rate: float
    shares: Mapping[str, Share]
    over_saturated: bool = False
    usable: bool = True
    seconds: float = 0.0
    cut_short: bool = False
    why: str = ""

    @classmethod
    def of(cls, rate: float, slos: Sequence[SloLimit], point: PointResult, *, seconds: float = 0.0) -> Probe:
        """What a measured window says."""
        shares = {s.metric: s.share(point) for s in slos}
        why = ", ".join(point.trust.unusable)
        return cls(rate, shares, point.trust.over_saturated, not why, seconds, why=why)

    @classmethod
    def ended_early(
        cls, rate: float, slos: Sequence[SloLimit], *, sent: int, failed: int, seconds: float = 0.0
    ) -> Probe:
        """A window that over-saturation ended after `sent` requests, of which `failed` failed."""
        sent = max(1, sent)
        shares = {s.metric: Share(failed if _of_failures(s.metric) else sent, sent, s.allowed) for s in slos}
        return cls(rate, shares, over_saturated=True, seconds=seconds, cut_short=True)

    @property
    def met(self) -> bool:
        """Whether every SLO was met, and the engine kept up."""
        return not self.over_saturated and all(s.met for s in self.shares.values())

    @property
    def strain(self) -> float:
        """The late share as a multiple of the allowed one, of the SLO that is worst off; above 1 is missed.

        Infinite where the queue grew, or where most were late (an allowed share of 0.5 has no multiple of 3).
        """
        if self.over_saturated or any(2 * s.late > s.of for s in self.shares.values()):
            return math.inf
        return max(s.strain for s in self.shares.values())

    def counted(self, metric: str) -> Share:
        """The share as it counts: all late where the queue grew; what has not failed may yet be answered."""
        share = self.shares[metric]
        late = self.over_saturated and not _of_failures(metric)
        return Share(share.of, share.of, share.allowed) if late else share


def _of_failures(metric: str) -> bool:
    return metric.rpartition(".")[2] == "error_rate"


def _count_within(histogram: Histogram, limit: float) -> int:
    """How many values are at most `limit`, as far as the histogram's buckets tell."""
    low, high = 0, histogram.count  # the value of rank `low` is within, that of rank `high + 1` is not
    while low < high:
        rank = (low + high + 1) // 2
        if histogram.quantile((rank - 0.5) / histogram.count) <= limit:
            low = rank
        else:
            high = rank - 1
    return low
