"""Trials whose rounds search over rates: the plan of a run, and when a rule ends one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tuner.search.history import Deployment, History, TrialRecord
from tuner.search.plan import measuring_seconds, plan_lines
from tuner.search.stopping import asha, hopeless
from tuner.spec import Experiment
from tuner.trial.objective import Goal, MergedObjective
from tuner.trial.ports import Phase, State
from tuner.trial.rate_rounds import ProbeRecord, RateRound
from tuner.trial.rounds import RoundResult

HEAD = """\
name: demo
model: {synthetic: {}}
workload: {scenario: "D(48,64)", rate_search: {low: 2, high: 50, probes: 5}, rounds: 3, round_seconds: 10}
"""
TEXT = """\
parameters: {slots: {values: [1, 2, 4, 8], flag: --parallel}}
objective: {maximize: max_request_rate}
slo: {ttft_p95_ms: 100}
"""
GOAL = Goal("max_request_rate", True)
OBJECTIVE = MergedObjective((GOAL,), {"ttft_p95_ms": 100.0})


def test_the_plan_tells_probes_and_rates(experiment: Callable[..., Experiment]) -> None:
    read = experiment(text=TEXT, head=HEAD)
    lines = dict(plan_lines(read, first=[]))
    assert lines["load"] == "load D(48,64), rates from 2 to 50/s poisson"
    assert lines["rounds"] == "3 of 5 probes of 10 s each after 5 s of warm-up"
    assert "waits for the engine to come to rest between probes not counted" in lines["cost"]
    assert lines["percentiles"] == "ttft_p95_ms needs 100 requests a probe: below 10/s it has fewer"
    assert measuring_seconds(read) == 5 + 3 * 5 * 10


def block(
    *, low: float = 0.0, high: float = 50.0, rate: float = float("nan"), late: float = 0.0
) -> RoundResult:
    probes = tuple(ProbeRecord(2.0 if late else low, {"ttft_p95_ms": late}, 100, 12.0) for _ in range(5))
    rates = RateRound(probes, 2.0, 50.0, {"ttft_p95_ms": 0.05}, rate, low, high, usable=5, made=5)
    return RoundResult(1, 0.0, 60.0, (), rates)


def running(trial: int, measured: RoundResult) -> Deployment:
    score = OBJECTIVE.score([measured])
    return Deployment(trial, Phase.SEARCH, 1, rounds=[measured], scores=[score], state=State.COMPLETE)


def test_a_trial_without_a_rate_that_will_do_is_hopeless() -> None:
    reason = hopeless.make_rule().stop(running(1, block(late=0.5)), History((GOAL,)))
    assert reason == "hopeless: ttft_p95_ms at least 900% beyond its limit"
    assert hopeless.make_rule().stop(running(1, block(low=9.0, rate=10.0)), History((GOAL,))) is None


@pytest.mark.parametrize(("high", "ends"), [(11.0, True), (26.0, False)])
def test_asha_ends_a_trial_whose_interval_lies_below_the_cut(high: float, ends: bool) -> None:
    history = History((GOAL,))
    for number, low in enumerate((25.0, 24.0, 23.0, 20.0)):
        history.add(TrialRecord(number, {}, [running(number, block(low=low, rate=low + 1, high=low + 2))]))
    reason = asha.make_rule().stop(running(9, block(low=10.0, rate=10.5, high=high)), history)
    assert (reason is not None) is ends
