"""When a trial is stopped early."""

from __future__ import annotations

import pytest

from tuner.search.history import Deployment
from tuner.search.stopping import rules_for
from tuner.search.stopping.asha import Asha
from tuner.search.stopping.hopeless import Hopeless
from tuner.search.stopping.median import Median
from tuner.search.stopping.outclassed import Outclassed
from tuner.trial.objective import Goal
from tuner.trial.ports import Phase, State


def running(*scores, number=99):
    return Deployment(number, Phase.SEARCH, 1, scores=list(scores))


def test_hopeless_needs_the_kinder_end_to_lie_beyond_the_margin(score, past):
    rule = Hopeless(margin=0.1)
    assert rule.stop(running(score(over=0.9, certain=0.05)), past()) is None
    reason = rule.stop(running(score(over=0.9, certain=0.25)), past())
    assert reason == "hopeless: ttft_p95_ms at least 25% beyond its limit"


def test_asha_speaks_only_at_its_rungs(score, past):
    history = past(*[[score(200.0)] * 9 for _ in range(9)])
    stopped = [n for n in range(1, 10) if Asha().stop(running(*[score(50.0)] * n), history)]
    assert stopped == [1, 3, 9]


def test_asha_lets_the_best_third_go_on(score, past):
    history = past(*[[score(float(v))] for v in (10, 20, 30, 40, 50, 60, 70, 80)])
    # nine with the one that asks: the first three go on
    assert Asha().stop(running(score(65.0)), history) is None
    assert Asha().stop(running(score(55.0)), history) == "asha: place 4 of 9 after round 1, the first 3 go on"


def test_asha_is_silent_while_fewer_than_eta_others_came_as_far(score, past):
    assert Asha(eta=3).stop(running(score(1.0)), past([score()], [score()])) is None


def test_asha_lets_go_on_what_lies_within_the_noise_of_the_cut(score, past):
    history = past(*[[score(float(v))] for v in (10, 100, 100)])
    assert Asha().stop(running(score(95.0, interval=(90.0, 101.0))), history) is None
    assert Asha().stop(running(score(95.0, interval=(94.0, 96.0))), history) is not None


def test_asha_ranks_feasible_before_infeasible(score, past):
    history = past(*[[score(10.0)] for _ in range(4)])
    fast_but_late = score(1000.0, over=0.2, interval=(1.0, 2000.0))
    assert Asha().stop(running(fast_but_late), history) is not None
    assert Asha().stop(running(score(10.0)), past(*[[score(1000.0, over=0.2)]] * 4)) is None


def test_asha_ranks_the_infeasible_by_how_far_they_are(score, past):
    history = past(*[[score(over=v)] for v in (0.5, 0.6, 0.7, 0.8)])
    assert Asha().stop(running(score(over=0.4)), history) is None
    assert Asha().stop(running(score(over=0.9)), history) is not None


@pytest.mark.parametrize("rule", [Asha(), Median()])
def test_untrusted_scores_of_others_do_not_count(score, past, rule):
    others = [[score(1000.0, measured=False)] * 3 for _ in range(8)]
    assert rule.stop(running(*[score(1.0)] * 3), past(*others)) is None


@pytest.mark.parametrize("rule", [Asha(), Median()])
def test_what_failed_or_was_cut_off_is_no_competitor(score, past, rule):
    others = [[score(1000.0)] * 3 for _ in range(8)]
    states = {n: State.FAILED if n % 2 else State.INTERRUPTED for n in range(8)}
    assert rule.stop(running(*[score(1.0)] * 3), past(*others, states=states)) is None


def test_median_speaks_from_the_second_round_on(score, past):
    history = past(*[[score(100.0)] * 3 for _ in range(5)])
    assert Median().stop(running(score(1.0)), history) is None
    reason = Median().stop(running(score(1.0), score(1.0)), history)
    assert reason == "median: worse than half of 5 trials after round 2"


def test_median_lets_the_better_half_go_on(score, past):
    history = past(*[[score(float(v))] * 2 for v in (10, 20, 30, 40, 50)])
    assert Median().stop(running(*[score(31.0)] * 2), history) is None
    assert Median().stop(running(*[score(29.0)] * 2), history) is not None


def test_outclassed_waits_until_the_scatter_of_rounds_is_known(score, past):
    assert Outclassed().stop(running(score(50.0)), past([score(100.0)])) is None
    assert Outclassed().stop(running(score(50.0)), past()) is None


def test_outclassed_stops_what_luck_does_not_explain(score, past):
    best = [score(v) for v in (100.0, 101.0, 100.5)]  # the means so far: rounds of 100, 102, 99.5
    history = past(best, [score(90.0), score(89.0), score(90.0)])
    assert Outclassed().stop(running(score(96.5)), history) is None
    reason = Outclassed().stop(running(score(70.0)), history)
    assert reason.startswith("outclassed: 30% worse than trial 0, luck explains")


def test_outclassed_lets_go_on_where_the_rounds_scatter_as_much(score, past):
    history = past([score(v) for v in (100.0, 120.0, 110.0)])
    assert Outclassed().stop(running(score(70.0)), history) is None


def test_outclassed_compares_with_feasible_trials_alone_and_reads_figures_that_are_to_be_small(score, past):
    infeasible = [score(1000.0, over=0.4)] * 3
    assert Outclassed().stop(running(score(70.0)), past(infeasible, infeasible)) is None
    history = past(*[[score(100.0)] * 3] * 2)
    history._goals = (Goal("ttft_p95_ms", False),)
    assert Outclassed().stop(running(score(70.0)), history) is None
    assert Outclassed().stop(running(score(140.0)), history) is not None


def test_auto_adds_asha_where_measuring_outlasts_deploying():
    def kinds(asked, measuring, deploying):
        found = rules_for(asked, measuring_seconds=measuring, deploying_seconds=deploying)
        return [type(rule) for rule in found]

    assert kinds("auto", 60, 2) == [Hopeless, Asha]
    assert kinds("auto", 60, 600) == [Hopeless]
    assert kinds("none", 60, 2) == []
    assert [kinds(name, 1, 1) for name in ("asha", "hopeless", "median")] == [[Asha], [Hopeless], [Median]]
