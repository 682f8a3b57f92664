"""One probe on a real endpoint: an open-loop window at a rate, ended early where the engine is overrun."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tuner.load.rate_search.probe import Probe, SloLimit
from tuner.load.target import Target
from tuner.spec.workload import LoadPoint

# Beyond doubt: half of the first tokens that came are later than this many limits, or half has failed.
HOPELESS_LIMITS = 3.0
FEWEST_TOLD = 20  # requests, before a window is judged while it passes


class OverSaturated(Exception):
    """The engine is overrun: the rest of the window would only queue up more."""

    def __init__(self, ended: int) -> None:
        super().__init__(f"over-saturated after {ended} requests")
        self.ended = ended


def end_when_overrun(slos: Sequence[SloLimit]) -> Callable[[dict[str, Any]], None]:
    """An `on_progress` that raises OverSaturated once a window under `slos` cannot be saved any more.

    It does where most requests fail, or where half of the first tokens come later than three times the limit
    of a TTFT, at two looks one after the other and not better at the second: a stall that passes is no queue
    that grows. A window that is merely bad passes whole: near the boundary every request is needed.
    """
    limits_ms = [s.limit for s in slos if s.metric.startswith("ttft_")]
    hopeless_at_ms: float | None = None  # the median TTFT of the look before, where it was hopeless

    def look(so_far: dict[str, Any]) -> None:
        nonlocal hopeless_at_ms
        ended = so_far["requests"] + so_far["failed"]
        if ended < FEWEST_TOLD:
            return
        failed, median_ms = so_far["failed"] / ended, so_far["ttft_p50_ms"]
        late = any(median_ms > HOPELESS_LIMITS * limit for limit in limits_ms)
        if not (late or failed > 0.5):
            hopeless_at_ms = None
        elif hopeless_at_ms is not None and (failed > 0.5 or median_ms >= hopeless_at_ms):
            raise OverSaturated(ended)
        else:
            hopeless_at_ms = median_ms

    return look


async def probe_at(
    target: Target,
    point: LoadPoint,
    slos: Sequence[SloLimit],
    *,
    rate: float,
    name: str,
    window_seconds: float,
    clock: Callable[[], float],
) -> Probe:
    """Load `target` at `rate` for one window and say what it shows.

    After a window that was ended early its requests are dropped, and nobody waits for the engine to have
    noticed: who probes an engine that is slow to must.

    Args:
        point: an open-loop point of the target's workload; its rate is replaced.
        name: of this probe, its own: it seeds arrivals and prompts.
    """
    began = clock()
    at_rate = point.model_copy(update={"request_rate": rate})
    try:
        found = await target.run_point(at_rate, name, end_when_overrun(slos), window_seconds=window_seconds)
    except OverSaturated as over:
        return Probe.ended_early(rate, slos, sent=over.ended, seconds=clock() - began)
    return Probe.of(rate, slos, found, seconds=clock() - began)
