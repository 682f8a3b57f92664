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
    of a TTFT. A window that is merely bad passes whole: near the boundary every request is needed.
    """
    limits_ms = [s.limit for s in slos if s.metric.startswith("ttft_")]

    def look(so_far: dict[str, Any]) -> None:
        ended = so_far["requests"] + so_far["failed"]
        if ended < FEWEST_TOLD:
            return
        late = any(so_far["ttft_p50_ms"] > HOPELESS_LIMITS * limit for limit in limits_ms)
        if late or 2 * so_far["failed"] > ended:
            raise OverSaturated(ended)

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
