"""The engine's metrics of several rounds of one load point, as one figure each. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuner.trial.rounds import PointResult

_MEANS = ("engine_running_mean", "engine_waiting_mean", "kv_cache_use_mean")
_LARGEST = ("engine_running_max", "engine_waiting_max", "kv_cache_use_max")


def merged_engine(results: Sequence[PointResult]) -> dict[str, float]:
    """Metric of kind "engine" -> its figure over all of `results`; absent where no round has it.

    Means are weighted with the window's length, the largest is the largest of all. Counts are summed:
    preemptions by the seconds over which they were seen, hits by queries; a hit rate without counts is a
    mean. Rounds in which every scrape failed say nothing, and change nothing.
    """
    found: dict[str, float] = {}
    for name in _MEANS:
        _put(found, name, _weighted(results, name))
    for name in _LARGEST:
        _put(found, name, max((r.engine[name] for r in results if name in r.engine), default=None))
    counted = [r.engine for r in results if "preemptions" in r.engine]
    seconds = math.fsum(e.get("engine_seconds", 0.0) for e in counted)
    if seconds > 0:
        found["preemptions_per_second"] = math.fsum(e["preemptions"] for e in counted) / seconds
    _put(found, "prefix_cache_hit_rate", _hit_rate(results))
    return found


def _hit_rate(results: Sequence[PointResult]) -> float | None:
    counted = [r.engine for r in results if "prefix_cache_queries" in r.engine]
    queries = math.fsum(e["prefix_cache_queries"] for e in counted)
    if queries > 0:
        return math.fsum(e["prefix_cache_hits"] for e in counted) / queries
    return _weighted(results, "prefix_cache_hit_rate")


def _weighted(results: Sequence[PointResult], name: str) -> float | None:
    told = [r for r in results if name in r.engine]
    seconds = math.fsum(r.window_seconds for r in told)
    if not seconds:
        return None
    return math.fsum(r.engine[name] * r.window_seconds for r in told) / seconds


def _put(found: dict[str, float], name: str, value: float | None) -> None:
    if value is not None:
        found[name] = value
