"""The winner beside the baseline at other loads, and what is said of one that collapses there."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from verdict_of import verdict_of

from tuner.errors import Failure, FailureClass
from tuner.trial.ports import Phase, State
from tuner.verdict import Outcome, Verdict

LOADS = (
    "search.sampler=grid",
    "search.trials=6",
    "validation.loads=[0.5, 1.25]",
    "validation.simplify=false",
)


@pytest.fixture
def run_with(run_of, behaviour):
    """A finished run in which slots are worth 50 % a doubling; `at` is how 8 slots behave at other loads."""

    def made(*overrides, at=None, baseline_at=None, **more):
        def surface(trial):
            slots = {"slots": 1, **trial.params}["slots"]
            there = (at or {}) if slots > 1 else (baseline_at or {})
            return behaviour(100 * 1.5 ** (slots > 1), at={load: behaviour(**b) for load, b in there.items()})

        run = run_of(*LOADS, *overrides, surface=surface, **more).start()
        assert run.go()
        return run

    return made


def test_a_winner_that_holds_up_is_told_with_its_gain_at_each_load(run_with):
    found = verdict_of(run_with())
    assert found.outcome in (Outcome.BETTER, Outcome.BETTER_TIED)
    assert [one.load for one in found.loads] == [0.5, 1.25]
    assert all(one.gain.low < 0.5 < one.gain.high and not one.collapses for one in found.loads)
    assert "but not at" not in found.headline
    assert any("holds up: at 0.5 times the load +" in line for line in found.details)


def test_only_the_blocks_deployments_are_measured_there_and_their_figures_stay_as_they_are(run_with):
    run = run_with(at={1.25: {"tokens": 10.0}})
    by_phase = Counter((line.phase, line.round.load) for line in run.store.rounds)
    assert by_phase[Phase.SEARCH, 1.25] == 0
    assert by_phase[Phase.VALIDATION, 1.25] == by_phase[Phase.VALIDATION, 0.5] == len(run.validated)
    for line in run.validated:
        assert line.metrics["output_tokens_per_second"] == pytest.approx(
            100 * 1.5 ** (line.trial > 0), rel=0.02
        )


def test_a_winner_that_is_worse_than_the_baseline_there_is_told_first_and_in_the_headline(run_with):
    found = verdict_of(run_with(at={1.25: {"tokens": 60.0}}))
    assert found.outcome in (Outcome.BETTER, Outcome.BETTER_TIED)
    assert found.headline.endswith("but not at 1.25 times the load.")
    assert "does not hold up" in found.details[0] and "at 1.25 times the load -" in found.details[0]
    assert found.loads[1].gain.share == pytest.approx(-0.4, abs=0.02)
    assert [one.collapses for one in found.loads] == [False, True]


def test_a_limit_that_the_baseline_keeps_there_and_the_winner_does_not_is_a_collapse(run_with):
    late = {"tokens": 150.0, "ttft": 180.0}
    found = verdict_of(run_with(at={1.25: late}))
    assert found.loads[1].missed == pytest.approx({"ttft_p95_ms": 0.97}, abs=0.05)
    assert "misses ttft_p95_ms by 9" in found.details[0] and "which the baseline keeps" in found.details[0]
    both = verdict_of(run_with(at={1.25: late}, baseline_at={1.25: {"tokens": 100.0, "ttft": 200.0}}))
    assert both.loads[1].missed == {} and not both.loads[1].collapses


def test_a_winner_whose_engine_falls_there_is_measured_all_the_same_and_told(run_with):
    crash = {"failure": Failure(FailureClass.CRASH, "at 1.25 times the load: ended")}
    run = run_with(at={1.25: crash})
    assert {line.state for line in run.validated} == {State.COMPLETE}
    found = verdict_of(run)
    assert found.outcome in (Outcome.BETTER, Outcome.BETTER_TIED) and found.out == ()
    assert found.loads[1].failed == "crash: at 1.25 times the load: ended"
    assert "but not at 1.25 times the load" in found.headline
    both = verdict_of(run_with(at={1.25: crash}, baseline_at={1.25: crash}))
    assert not both.loads[1].collapses


def test_where_the_baseline_is_kept_nothing_is_said_of_other_loads(run_of, behaviour):
    run = run_of(*LOADS, surface=lambda trial: behaviour(100.0)).start()
    assert run.go()
    found = verdict_of(run)
    assert found.winner == 0 and found.loads == ()


def test_a_run_that_goes_on_remembers_what_it_measured_there(run_with):
    run = run_with(at={1.25: {"tokens": 60.0}})
    before = verdict_of(run)
    after = verdict_of(run.start())
    assert after == before
    assert Verdict.from_json(json.loads(json.dumps(after.to_json()))) == after


@pytest.mark.parametrize(
    ("loads", "said"),
    [
        ("[1]", "validation.loads[0]: got 1; would be right: another multiple"),
        ("[0.5, 0.5]", "validation.loads[1]: got 0.5 twice"),
        ("[1.01]", "validation.loads[0]: got 1.01 of 16 in flight"),
        ("[0]", "validation.loads[0]"),
    ],
)
def test_loads_that_cannot_be_are_refused_in_one_line(experiment, loads, said):
    with pytest.raises(Exception, match="validation") as raised:
        experiment(f"validation.loads={loads}")
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_the_workload_at_a_multiple_has_that_many_requests_in_flight_or_a_second(experiment):
    closed = experiment().workload
    assert closed.at(1) is closed
    assert [closed.at(m).points[0].concurrency for m in (0.5, 0.75, 1.25, 0.01)] == [8, 12, 20, 1]
    head = (
        "name: demo\nmodel: {synthetic: {}}\nworkload: {scenario: 'D(48,64)', request_rate: 4, ramp_to: 8}\n"
    )
    point = experiment(head=head).workload.at(0.5).points[0]
    assert (point.request_rate, point.ramp_to, point.level.mean) == (2.0, 4.0, 3.0)
