"""What `tuner bench` prints for people: figures with units and intervals, and how far they can be trusted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from tuner.load.goodput import Limits
from tuner.spec.metrics import METRICS
from tuner.spec.workload import Workload
from tuner.trial.histogram import Histogram
from tuner.trial.objective import interval, totals
from tuner.trial.ports import Endpoint
from tuner.trial.rounds import HISTOGRAMS, PointResult, RoundResult, Trust

_QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99))
_NAMES = {
    "ttft_ms": "first token (TTFT)",
    "tpot_ms": "per token (TPOT)",
    "itl_ms": "gap between tokens (ITL)",
    "e2e_ms": "whole request (E2E)",
}
_WIDEST = 26


def by_point(rounds: Sequence[RoundResult]) -> dict[str, list[PointResult]]:
    """Each load point's results, in the order of the rounds."""
    found: dict[str, list[PointResult]] = {}
    for one in rounds:
        for point in one.points:
            found.setdefault(point.point, []).append(point)
    return found


def tables(rounds: Sequence[RoundResult], asked: dict[str, str], *, round_trip_ms: float | None) -> str:
    """Everything about all points.

    Args:
        asked: load point -> the load in a few words.
    """
    lines: list[str] = []
    for name, results in by_point(rounds).items():
        lines += [
            f"{name}: {asked.get(name, '')}".rstrip(": "),
            *_rates(results),
            "",
            *_latencies(results),
            "",
        ]
        lines += [*_trust(results, round_trip_ms), ""]
    return "\n".join(lines).rstrip()


def _rates(results: Sequence[PointResult]) -> Iterator[str]:
    found = totals(results)
    yield f"  {'':<{_WIDEST}} {'value':>12}   95 % interval"
    for name, metric in METRICS.items():
        value = metric.formula(found)
        if name.endswith("_ms") or math.isnan(value):
            continue
        low, high = interval(metric, results)
        between = "" if math.isnan(low) else f"{low:.4g} to {high:.4g}"
        yield f"  {_said(name):<{_WIDEST}} {value:>12.4g}   {between}".rstrip()
    yield f"  {'requests completed':<{_WIDEST}} {found.requests:>12d}"
    yield f"  {'in flight at the end':<{_WIDEST}} {sum(r.cut for r in results):>12d}"
    errors: dict[str, int] = {}
    for result in results:
        for kind, count in result.errors.items():
            errors[kind] = errors.get(kind, 0) + count
    for kind, count in sorted(errors.items()):
        yield f"  {'failed, ' + kind:<{_WIDEST}} {count:>12d}"


def _latencies(results: Sequence[PointResult]) -> Iterator[str]:
    heads = ["mean", *(name for name, _ in _QUANTILES), "max"]
    yield f"  {'ms':<{_WIDEST}}" + "".join(f"{head:>10}" for head in heads)
    histograms = totals(results).histograms
    for name in HISTOGRAMS:
        histogram = histograms[name]
        assert isinstance(histogram, Histogram)
        largest = histogram.maximum if histogram.count else math.nan
        values = [histogram.mean(), *(histogram.quantile(q) for _, q in _QUANTILES), largest]
        yield f"  {_NAMES.get(name, name):<{_WIDEST}}" + "".join(f"{_ms(value):>10}" for value in values)


def _trust(results: Sequence[PointResult], round_trip_ms: float | None) -> Iterator[str]:
    trip = "not measured" if round_trip_ms is None else f"{round_trip_ms:.2f} ms"
    for number, result in enumerate(results, 1):
        trust = result.trust
        said = "can be trusted" if trust.usable else "CANNOT be trusted"
        place = f"round {number} " if len(results) > 1 else ""
        yield (
            f"  {place}{said}: {trust.achieved:.4g} {_unit(trust)}of {trust.asked:.4g} asked for, "
            f"loop lag p99 {trust.client_lag_p99_ms:.1f} ms, {trust.client_cpu_share:.2f} of a core, "
            f"round trip {trip}, tokens by {trust.token_source}"
        )
        yield from (f"    {reason}" for reason in trust.reasons)


def _unit(trust: Trust) -> str:
    return "in flight " if trust.waves else ""


def _said(metric: str) -> str:
    return metric.replace("_per_second", "/s").replace("_", " ")


def _ms(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}" if value < 1e5 else f"{value:.4g}"


def document(
    endpoint: Endpoint,
    workload: Workload,
    rounds: Sequence[RoundResult],
    round_trip_ms: float | None,
    *,
    limits: Limits | None,
    interrupted: bool,
) -> dict[str, Any]:
    """Everything for a program: what was asked, each point's metrics with intervals, the rounds as kept.

    Args:
        limits: of one request, for goodput; None where nobody asked for it.
    """
    points: dict[str, Any] = {}
    for name, results in by_point(rounds).items():
        found = totals(results)
        points[name] = {
            "metrics": {
                metric: {"value": one.formula(found), "interval_95": list(interval(one, results))}
                for metric, one in METRICS.items()
            },
            "usable": all(r.trust.usable for r in results),
        }
    return {
        "url": endpoint.url,
        "model": endpoint.model,
        "workload": workload.model_dump(mode="json"),
        "goodput": asdict(limits) if limits is not None else None,
        "round_trip_ms": round_trip_ms,
        "interrupted": interrupted,
        "points": points,
        "rounds": [one.to_json() for one in rounds],
    }
