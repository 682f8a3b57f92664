"""What bounded a trial: its KV cache, its queue, its compute, or the client that loaded it. Pure.

Read from the engine's own metrics, in this order, since each cause brings the later ones with it:

1. Client: a round that the load generator itself held up says nothing about the engine.
2. KV cache: it was full, and requests waited for it or were thrown out of it. More memory for it, a shorter
   context or a narrower data type would help; more places for requests would not.
3. Queue: requests waited although the KV cache had room, so the engine's own limit of requests at a time
   (slots, max_num_seqs) holds them back.
4. Nothing: an open loop that the engine keeps up with, or a closed one whose requests it does not fill.
5. Compute: all that was asked for ran at once, and there was room: each step takes its time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tuner.results.rates import rates_told
from tuner.trial.engine_totals import merged_engine
from tuner.trial.rounds import PointResult, RoundResult

# A KV cache is full before the last block is taken: the next request does not fit any more.
FULL_KV_CACHE = 0.95
# Requests that wait between two steps are no queue; a twentieth of those that run is one.
WAITING_SHARE = 0.05
FEWEST_WAITING = 0.5


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """What bounded one load point, and the figures that say so; `words` is one line."""

    kind: Literal["client", "kv cache", "queue", "compute", "nothing", "unknown"]
    words: str


def bottleneck(results: Sequence[PointResult]) -> Bottleneck:
    """What bounded one load point of a deployment, by all of its rounds (at least one)."""
    held_up = [r for r in results if r.trust.client_bound]
    if 2 * len(held_up) > len(results):
        return Bottleneck("client", f"the client ({len(held_up)} of {len(results)} rounds)")
    engine = merged_engine(results)
    waiting, running = engine.get("engine_waiting_mean"), engine.get("engine_running_mean")
    fullest = engine.get("kv_cache_use_max")
    if waiting is None or running is None:
        return _without_queue(results)
    queued = waiting > max(FEWEST_WAITING, WAITING_SHARE * running)
    preempted = engine.get("preemptions_per_second", 0.0) > 0
    if preempted or (queued and fullest is not None and fullest >= FULL_KV_CACHE):
        return Bottleneck("kv cache", f"its KV cache ({_figures(engine)})")
    if queued:
        return Bottleneck("queue", f"its queue ({_figures(engine)})")
    if all(r.requests and not r.trust.waves and not r.trust.over_saturated for r in results):
        return Bottleneck("nothing", f"nothing, it keeps up with the rate ({_figures(engine)})")
    return Bottleneck("compute", f"compute ({_figures(engine)})")


def bound_by(rounds: Sequence[RoundResult]) -> str:
    """One line over all load points of a deployment; "" where it has no round.

    Load points that are bound by the same are told by the last of them, the others each by its name. Where
    rates were searched it is the limit that ends them.
    """
    if told := rates_told(rounds):
        return told
    by_point: dict[str, list[PointResult]] = {}
    for one in rounds:
        for point in one.points:
            by_point.setdefault(point.point, []).append(point)
    found = {name: bottleneck(results) for name, results in by_point.items()}
    if len({b.kind for b in found.values()}) <= 1:
        return next((b.words for b in reversed(found.values())), "")
    return "; ".join(f"{name}: {b.words}" for name, b in found.items())


def _without_queue(results: Sequence[PointResult]) -> Bottleneck:
    """An engine that does not tell its queue: the client sees one that grows, and nothing else."""
    if any(r.trust.over_saturated for r in results):
        return Bottleneck("queue", "its queue (it grows from the window's start to its end)")
    return Bottleneck("unknown", "not known: the engine does not tell its queue")


def _figures(engine: Mapping[str, float]) -> str:
    told = [
        f"{engine['engine_running_mean']:.1f} requests run",
        f"{engine['engine_waiting_mean']:.1f} wait",
    ]
    if "kv_cache_use_max" in engine:
        told.append(f"KV cache at most {engine['kv_cache_use_max']:.0%} full")
    if engine.get("preemptions_per_second"):
        told.append(f"{engine['preemptions_per_second']:.2g} preemptions/s")
    return ", ".join(told)
