"""What a search over rates found, in the "bound by" of tables and report."""

from __future__ import annotations

import math

import pytest

from tuner.results.bottleneck import bound_by
from tuner.trial.rate_rounds import ProbeRecord, RateRound
from tuner.trial.rounds import RoundResult


def found(*, unusable: str = "", **answer: float | str | bool | int) -> list[RoundResult]:
    probes = (ProbeRecord(4.0, {"ttft_p95_ms": 0.5}, 100, 20.0, unusable=unusable),)
    told = {"rate": 17.26, "low": 15.1, "high": 18.94, "binding": "ttft_p95_ms", "usable": 12, "made": 12}
    rates = RateRound(probes, 1.0, 64.0, {"ttft_p95_ms": 0.05}, **{**told, **answer})  # type: ignore[arg-type]
    earlier = RateRound(probes, 1.0, 64.0, {}, math.nan, 0.0, 4.0)
    return [RoundResult(1, 0.0, 60.0, (), earlier), RoundResult(2, 0.0, 60.0, (), rates)]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({}, "ttft_p95_ms at 17.26 requests/s (15.1 to 18.94)"),
        ({"cliff": True}, "ttft_p95_ms at 17.26 requests/s (15.1 to 18.94), a cliff"),
        ({"low": 0.0}, "ttft_p95_ms at 17.26 requests/s (at most 18.94)"),
        ({"high": math.inf}, "ttft_p95_ms at 17.26 requests/s (at least 15.1)"),
        (
            {"rate": 64.0, "low": 64.0, "high": math.inf, "binding": ""},
            "nothing up to 64 requests/s, where rate_search ends",
        ),
        ({"rate": math.nan, "low": 0.0, "high": 4.0}, "ttft_p95_ms, already at 4 requests/s"),
        ({"usable": 0, "unusable": "client-bound"}, "not known: none of 12 probes counts"),
    ],
)
def test_the_limit_that_ends_the_rates_is_what_bounds_a_trial(answer: dict[str, float], says: str) -> None:
    assert bound_by(found(**answer)) == says  # type: ignore[arg-type]
