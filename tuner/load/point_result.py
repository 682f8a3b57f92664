"""One pass over a load point -> its result: accounted for, judged, with what the engine said meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tuner.load.engine_metrics import EngineScraper, summarised
from tuner.load.goodput import Limits
from tuner.load.round import Passed
from tuner.load.trust import Asked, judge
from tuner.load.window import account
from tuner.spec.workload import LoadPoint
from tuner.trial.rounds import PointResult


def point_result(
    point: LoadPoint,
    passed: Passed,
    scraper: EngineScraper,
    *,
    limits: Limits | None,
    implied_hit_rate: float,
    round_trip_ms: float | None,
    notes: Sequence[str],
) -> PointResult:
    """What `passed` gave; see `judge` for the rest."""
    made = account(passed.exchanges, passed.window, limits)
    engine = summarised(scraper.scrapes, opens=passed.window.opens, closes=passed.window.closes)
    if scraper.missed:
        engine["scrapes_missed"] = float(scraper.missed)
    trust = judge(
        made,
        Asked(point.concurrency, point.request_rate, point.ramp_to),
        passed.host,
        lag_ms=passed.lag_ms,
        window_seconds=passed.window.seconds,
        paused_streams=passed.paused_streams,
        engine=engine,
        implied_hit_rate=implied_hit_rate,
        round_trip_ms=round_trip_ms,
        notes=notes,
    )
    if passed.lost:
        trust = replace(trust, invalid=True)
    return PointResult(
        point=point.name,
        window_seconds=passed.window.seconds,
        requests=made.requests,
        output_tokens=made.output_tokens,
        input_tokens=made.input_tokens,
        errors=made.errors,
        cut=made.cut,
        histograms=made.histograms,
        parts=() if point.level.ramps else made.parts,  # not batches of one thing
        engine=engine,
        trust=trust,
        good=made.goodput.good if made.goodput else None,
        late=made.goodput.late if made.goodput else 0,
    )
