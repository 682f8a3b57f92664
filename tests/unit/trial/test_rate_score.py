"""Rounds of a search over rates: what is stored of them, and the score that they give."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from tuner.results.plain_json import dumps
from tuner.trial.objective import NOT_MEASURED, Goal, MergedObjective
from tuner.trial.rate_rounds import ProbeRecord, RateRound
from tuner.trial.rounds import PointResult, RoundResult, Trust

RATE, TTFT = "max_request_rate", "ttft_p95_ms"
OBJECTIVE = MergedObjective((Goal(RATE, True),), {TTFT: 100.0, "error_rate": 0.01})


def probe(rate: float, late: float = 0.0, **more: object) -> ProbeRecord:
    return replace(ProbeRecord(rate, {TTFT: late, "error_rate": 0.0}, 200, 11.0), **more)  # type: ignore[arg-type]


@pytest.fixture
def block(point: Callable[..., PointResult]) -> Callable[..., RoundResult]:
    """A round with these probes and this answer; `standing` is the rate and the TTFT of its window."""

    def made(
        number: int,
        *probes: ProbeRecord,
        rate: float = math.nan,
        low: float = 0.0,
        high: float = math.inf,
        standing: tuple[float, float] | None = None,
        usable: int | None = None,
    ) -> RoundResult:
        counted = sum(not p.unusable for p in probes) if usable is None else usable
        told = RateRound(
            probes,
            1.0,
            64.0,
            {TTFT: 0.05, "error_rate": 0.01},
            rate,
            low,
            high,
            TTFT,
            True,
            counted,
            len(probes),
        )
        points: tuple[PointResult, ...] = ()
        if standing is not None:
            asked, ttft = standing
            points = (replace(point(ttft=[ttft] * 100), trust=Trust(asked=asked, achieved=asked)),)
        return RoundResult(number, 1.7e9, 66.0, points, told)

    return made


def test_a_round_of_probes_comes_back_from_its_line_as_it_was(block: Callable[..., RoundResult]) -> None:
    whole = block(
        2, probe(8.0), probe(16.0, 0.4, ended_early=True, unusable="client-bound"), rate=8.0, low=8.0
    )
    unmet = block(1, probe(8.0, 1.0, over_saturated=True))
    for one in (whole, unmet):
        again = RoundResult.from_json(json.loads(dumps(one.to_json())))
        assert again.to_json() | {"rates": None} == one.to_json() | {"rates": None}
        assert repr(again.rates) == repr(one.rates)  # NaN is equal to nothing
    later = whole.to_json()
    later["rates"]["probes"][0]["new"] = later["rates"]["new"] = 1
    assert RoundResult.from_json(later).rates == whole.rates
    assert "rates" not in RoundResult(1, 0.0, 1.0, ()).to_json()


def test_the_value_is_the_lower_end_of_the_last_rounds_interval(block: Callable[..., RoundResult]) -> None:
    rounds = [
        block(
            1, probe(4.0), probe(8.0), probe(16.0, 0.5), rate=11.0, low=4.0, high=16.0, standing=(4.0, 30.0)
        ),
        block(2, probe(9.0), probe(10.0, 0.1), rate=9.6, low=9.1, high=10.1, standing=(9.0, 80.0), usable=5),
    ]
    score = OBJECTIVE.score(rounds)
    assert score.values == (9.1,) and score.intervals == ((9.1, 10.1),)
    assert score.feasible and score.measured and score.reason == ""
    assert score.metrics[RATE] == score.metrics[f"load.{RATE}"] == 9.1
    # the other figures are those of the window just below it: 80 ms of 100
    assert score.metrics[TTFT] == pytest.approx(80.0, rel=0.02)
    assert score.violations[TTFT] == pytest.approx(-0.2, abs=0.02)
    assert OBJECTIVE.score(rounds[:1]).values == (4.0,)


def test_a_limit_is_met_by_construction_where_a_rate_was_found(block: Callable[..., RoundResult]) -> None:
    # The window that stands for the round may lie a little above the limit: the answer rests on all of them.
    score = OBJECTIVE.score([block(1, *[probe(8.0)] * 4, rate=8.0, low=7.9, high=8.2, standing=(8.0, 104.0))])
    assert score.feasible and score.violations[TTFT] == 0.0


def test_where_no_rate_will_do_it_is_infeasible_and_says_by_how_much(
    block: Callable[..., RoundResult],
) -> None:
    missed = [probe(8.0, 1.0, over_saturated=True), probe(3.0, 0.9), probe(1.0, 0.6)]
    score = OBJECTIVE.score([block(1, *missed, standing=(1.0, 250.0))])
    assert score.measured and not score.feasible and score.values == (0.0,)
    assert score.violations[TTFT] == pytest.approx(1.5, abs=0.05)  # 250 ms of 100, at the lowest rate
    assert score.violations["error_rate"] <= 0
    assert max(score.certain_violations.values()) < 0  # one probe at the lowest rate is not sure
    again = OBJECTIVE.score([block(1, *missed, standing=(1.0, 250.0)), block(2, probe(1.0, 0.7), usable=4)])
    assert again.certain_violations[TTFT] == pytest.approx(1.5, abs=0.05)


def test_without_a_whole_window_the_miss_is_told_by_the_share_of_late_ones(
    block: Callable[..., RoundResult],
) -> None:
    early = [probe(r, 1.0, over_saturated=True, ended_early=True) for r in (8.0, 3.0, 1.0)]
    score = OBJECTIVE.score([block(1, *early)])
    assert not score.feasible and score.measured
    assert score.violations[TTFT] == pytest.approx(19.0) and score.violations["error_rate"] == pytest.approx(
        99.0
    )


@pytest.mark.parametrize(
    ("probes", "answer", "reason"),
    [
        ([probe(8.0), probe(9.0)], {"rate": 9.0, "low": 8.0}, "only 2 of 2 probes count"),
        (
            [probe(8.0, unusable="client-bound")] * 3,
            {},
            "only 0 of 3 probes count: client-bound",
        ),
        (
            [probe(8.0), *[probe(9.0, 0.2)] * 3],
            {"rate": 8.5, "high": 9.0},
            "after 4 probes no rate surely meets the limits",
        ),
    ],
)
def test_too_few_probes_are_no_measurement(
    block: Callable[..., RoundResult], probes: list[ProbeRecord], answer: dict[str, float], reason: str
) -> None:
    score = OBJECTIVE.score([block(1, *probes, **answer)])
    assert not score.measured and not score.feasible and score.reason == reason
    assert math.isnan(score.values[0]) and RATE not in score.metrics


def test_nothing_known_of_a_limit_counts_as_missed(block: Callable[..., RoundResult]) -> None:
    score = OBJECTIVE.score([block(1, probe(8.0, unusable="client-bound"))])
    assert score.violations == {TTFT: NOT_MEASURED, "error_rate": NOT_MEASURED}


def test_several_deployments_count_alike_and_one_that_meets_no_limit_counts(
    block: Callable[..., RoundResult],
) -> None:
    four = [probe(8.0)] * 4
    first = [block(1, *four, rate=3.0, low=2.0, high=5.0), block(2, *four, rate=8.5, low=8.0, high=9.0)]
    second = [block(1, *four, rate=2.2, low=2.0, high=3.0)]
    score = OBJECTIVE.score([*first, *second])
    assert score.values[0] == pytest.approx(4.0)  # of 8 and 2: the last round of each
    assert score.intervals == ((5.0, 6.0),) and score.feasible
    failed = block(1, *[probe(1.0, 0.5)] * 3)
    assert not OBJECTIVE.score([*first, failed]).feasible
    lost = block(1, *[probe(8.0, unusable="client-bound")] * 4)
    assert OBJECTIVE.score([*first, lost]).values[0] == pytest.approx(8.0)
