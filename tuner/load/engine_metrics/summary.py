"""Scrapes -> the figures of one window. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tuner.load.engine_metrics.names import (
    ENGINES,
    KV_CACHE_USE,
    PREEMPTIONS,
    PREFIX_HIT_RATE,
    PREFIX_HITS,
    PREFIX_MISSES,
    PREFIX_QUERIES,
    RUNNING,
    WAITING,
)

_OF_GAUGES = (RUNNING, WAITING, KV_CACHE_USE)
_COUNTERS = {q.name for e in ENGINES for q in e.quantities if q.kind == "counter"}


@dataclass(frozen=True, slots=True)
class Scrape:
    """The quantities at one moment of the load's clock."""

    at: float
    quantities: Mapping[str, float] = field(default_factory=dict)


def summarised(scrapes: Sequence[Scrape], *, opens: float, closes: float) -> dict[str, float]:
    """What the engine said within [opens, closes].

    Returns:
        - `engine_running_mean`, `engine_waiting_mean` (requests), `kv_cache_use_mean` (share): means over
          time, each scrape standing for the time nearest to it; `..._max` the largest scrape.
        - `preemptions`: how many between the first and the last scrape, `engine_seconds` apart.
        - `prefix_cache_hit_rate`: hits by queries of the same span, with both beside it (tokens or blocks,
          as the engine counts); where the engine has a gauge alone, its mean over time.
        - `scrapes`: how many the figures rest on.
        Absent is what the engine does not offer, and counters that fell (it started anew).
    """
    inside = [s for s in scrapes if opens <= s.at <= closes]
    if not inside:
        return {}
    found: dict[str, float] = {"scrapes": float(len(inside))}
    for name in _OF_GAUGES:
        told = [s for s in inside if name in s.quantities]
        if told:
            found[f"{name}_mean"] = _mean_over_time(told, name, opens, closes)
            found[f"{name}_max"] = max(s.quantities[name] for s in told)
    grown = _grown(inside)
    found["engine_seconds"] = inside[-1].at - inside[0].at
    if PREEMPTIONS in grown:
        found[PREEMPTIONS] = grown[PREEMPTIONS]
    hits, queries = grown.get(PREFIX_HITS), grown.get(PREFIX_QUERIES)
    if hits is not None and PREFIX_MISSES in grown:
        queries = hits + grown[PREFIX_MISSES]
    if hits is not None and queries:
        found |= {PREFIX_HITS: hits, PREFIX_QUERIES: queries, PREFIX_HIT_RATE: hits / queries}
    elif told := [s for s in inside if PREFIX_HIT_RATE in s.quantities]:
        found[PREFIX_HIT_RATE] = _mean_over_time(told, PREFIX_HIT_RATE, opens, closes)
    return found


def _mean_over_time(scrapes: Sequence[Scrape], name: str, opens: float, closes: float) -> float:
    """Each scrape weighted with the part of the window that is nearer to it than to any other."""
    middles = [(a.at + b.at) / 2 for a, b in pairwise(scrapes)]
    edges = [opens, *middles, closes]
    weights = [b - a for a, b in pairwise(edges)]
    total = math.fsum(weights)
    if total <= 0:
        return math.fsum(s.quantities[name] for s in scrapes) / len(scrapes)
    return math.fsum(w * s.quantities[name] for w, s in zip(weights, scrapes, strict=True)) / total


def _grown(scrapes: Sequence[Scrape]) -> dict[str, float]:
    """Counter -> its growth from the first to the last scrape; one that fell on the way is left out."""
    found: dict[str, float] = {}
    if len(scrapes) < 2:
        return found
    for name in _COUNTERS:
        values = [s.quantities[name] for s in scrapes if name in s.quantities]
        if len(values) == len(scrapes) and all(a <= b for a, b in pairwise(values)):
            found[name] = values[-1] - values[0]
    return found
