"""One probe on a real endpoint: an open-loop window at a rate, ended early where the engine is overrun."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tuner.load.rate_search.probe import Probe, SloLimit
from tuner.load.round import OnProgress
from tuner.load.target import Target
from tuner.spec.workload import LoadPoint
from tuner.trial.rounds import PointResult

# Beyond doubt: half of the first tokens that came are later than this many limits, or half has failed.
HOPELESS_LIMITS = 3.0
FEWEST_TOLD = 20  # requests, before a window is judged while it passes
# llama.cpp works a queue off that nobody waits for any more: 900 requests, 20 s, after 3 s of too much.
REST_LIMIT_IN_WINDOWS = 3.0
SHORTEST_REST_SECONDS, LONGEST_REST_SECONDS = 30.0, 120.0


class OverSaturated(Exception):
    """The engine is overrun: the rest of the window would only queue up more."""

    def __init__(self, ended: int, failed: int) -> None:
        super().__init__(f"over-saturated after {ended} requests, {failed} of them failed")
        self.ended = ended
        self.failed = failed


def end_when_overrun(slos: Sequence[SloLimit]) -> Callable[[dict[str, Any]], None]:
    """An `on_progress` that raises OverSaturated once a window under `slos` cannot be saved any more.

    It does where most requests fail, or where half of the first tokens come later than three times the limit
    of a TTFT or E2E, at two looks one after the other and not better at the second: a stall that passes is no
    queue that grows. A window that is merely bad passes whole: near the boundary every request is needed.
    """
    named = ((s.metric.rpartition(".")[2], s.limit) for s in slos)
    limits_ms = [limit for name, limit in named if name.startswith(("ttft_", "e2e_"))]
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
            raise OverSaturated(ended, so_far["failed"])
        else:
            hopeless_at_ms = median_ms

    return look


def rest_seconds(window_seconds: float) -> float:
    """How long at most the engine is waited for, until it has let go of a probe's requests."""
    return min(max(SHORTEST_REST_SECONDS, REST_LIMIT_IN_WINDOWS * window_seconds), LONGEST_REST_SECONDS)


@dataclass(frozen=True, slots=True)
class Probed:
    """A probe, and what it was made of.

    Attributes:
        point: the window; None where it was ended early.
        at_rest: the engine let go of all its requests after it, in time.
    """

    probe: Probe
    point: PointResult | None
    at_rest: bool


async def probed(
    target: Target,
    point: LoadPoint,
    slos: Sequence[SloLimit],
    *,
    rate: float,
    name: str,
    window_seconds: float,
    clock: Callable[[], float],
    on_progress: OnProgress | None = None,
) -> Probed:
    """Load `target` at `rate` for one window, wait until the engine is at rest again, and say what it shows.

    A window that was ended early leaves the engine with requests whose answers nobody reads any more; until
    they are gone the next probe would queue behind them.

    Args:
        point: an open-loop point of the target's workload; its rate is replaced.
        name: of this probe, its own: it seeds arrivals and prompts.
        on_progress: see HttpLoad.

    Raises:
        LoadError: nobody answers at the endpoint any more.
    """
    look = end_when_overrun(slos)

    def told(so_far: dict[str, Any]) -> None:
        if on_progress is not None:
            on_progress(so_far)
        look(so_far)

    began = clock()
    at_rate = point.model_copy(update={"request_rate": rate})
    found: PointResult | None = None
    try:
        found = await target.run_point(at_rate, name, told, window_seconds=window_seconds)
        probe = Probe.of(rate, slos, found, seconds=clock() - began)
    except OverSaturated as over:
        probe = Probe.ended_early(rate, slos, sent=over.ended, failed=over.failed, seconds=clock() - began)
    return Probed(probe, found, await target.rest(within_seconds=rest_seconds(window_seconds)))


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
    """The probe of `probed` alone."""
    found = await probed(
        target, point, slos, rate=rate, name=name, window_seconds=window_seconds, clock=clock
    )
    return found.probe
