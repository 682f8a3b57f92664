"""The prefix-cache hit rate that is no sign of contamination in one round, on one endpoint."""

from __future__ import annotations

import math

from tuner.load.implied_hit_rate import implied_prefix_hit_rate
from tuner.load.preparation import Prepared
from tuner.load.round import Passed
from tuner.spec.workload import LoadPoint

_COUNTLESS = 10**12


def expected_hit_rate(point: LoadPoint, found: Prepared, passed: Passed, *, number: int | str) -> float:
    """The highest share of prompt tokens, 0 to 1, that may be known before without anything being wrong.

    What the workload implies, and what the endpoint puts before every prompt (a chat template, a first
    token), by the calibration. Where the two cannot be told for one round the answer errs upwards: an
    honest round is never called contaminated. So a dataset without a lead-in may hit throughout, since
    earlier rounds have sent its rows, and a round whose conversations were at later turns than usual
    may hit what these carried.

    Args:
        passed: the round; how many requests it sent says how often a dataset's rows came.
        number: of the round; a trace is further on in a later one.
    """
    parts = list(zip(point.parts, point.weights, found.fits_of(point), strict=True))
    repeats = any(p.dataset is not None and p.dataset.lead_in == "none" for p, _, _ in parts)
    requests = _COUNTLESS if repeats else len(passed.exchanges)
    seconds = passed.window.seconds
    of_number = number if isinstance(number, int) else 1
    implied = _of_round(point, seconds, of_number, requests)
    if point.converses:
        openings = _of_round(_of_lone_requests(point), seconds, of_number, requests)
        implied = max(implied, _of_turns_sent(passed, openings))
    template = math.fsum(
        weight * max(0.0, fit.overhead - part.shared_prefix) / max(1.0, part.lengths.mean_tokens()[0])
        for part, weight, fit in parts
    )
    return min(1.0, implied + template)


def _of_round(point: LoadPoint, window_seconds: float, number: int, requests: int) -> float:
    def up_to(rounds: int) -> float:
        return implied_prefix_hit_rate(point, window_seconds=window_seconds, rounds=rounds, requests=requests)

    if point.trace is None or number < 2:
        return up_to(max(1, number))
    # a mean over rounds 1 to n, each as long as the others: the last one's own is the difference
    return min(1.0, max(up_to(number), number * up_to(number) - (number - 1) * up_to(number - 1)))


def _of_turns_sent(passed: Passed, openings: float) -> float:
    """What the turns that were sent carried; of the rest the share that first turns have known before."""
    sent = [x for x in passed.exchanges if x.sent is not None and passed.window.holds(x.sent)]
    asked = sum(x.asked_tokens[0] for x in sent)
    carried = sum(x.carried_tokens for x in sent) / asked if asked else 0.0
    return carried + (1 - carried) * openings


def _of_lone_requests(point: LoadPoint) -> LoadPoint:
    """The same load without any turn but the first."""
    if point.mix is None:
        return point.model_copy(update={"conversations": None})
    return point.model_copy(
        update={"mix": tuple(part.model_copy(update={"conversations": None}) for part in point.mix)}
    )
