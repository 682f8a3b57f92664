"""No configuration is recommended whose percentiles are within their limits by luck alone."""

from __future__ import annotations

import math

import pytest

from tuner.verdict import Candidate, Outcome, decide

TTFT = "ttft_p95_ms"
CLEAR = {0: [100, 101, 99], 1: [120, 121, 119], 2: [110, 111, 109]}
CANDIDATES = [Candidate(1, 1.0, rank=0), Candidate(2, 2.0, rank=1)]


@pytest.fixture
def verdict(measure):
    """The verdict where trials miss a limit by `missed`, and by their upper bounds by `bounds`."""

    def made(bounds, *, missed=None, table=CLEAR, candidates=CANDIDATES):
        return decide(
            measure(table, missed),
            candidates,
            maximize=True,
            bound=lambda trial, blocks: {TTFT: bounds.get(trial, -0.1)},
        )

    return made


def test_a_candidate_that_is_not_shown_to_keep_a_limit_is_out_and_the_next_one_wins(verdict):
    found = verdict({1: 0.031})
    assert (found.outcome, found.winner, found.out) == (Outcome.BETTER, 2, (1,))
    assert any("upper bound misses ttft_p95_ms by 3.1 %" in line for line in found.details)


def test_bounds_within_the_limits_change_nothing(verdict):
    assert verdict({1: 0.0, 2: -0.01}).winner == 1


def test_with_no_candidate_shown_the_baseline_is_kept_and_the_reason_said(verdict):
    found = verdict({1: 0.03, 2: math.inf})
    assert found.outcome is Outcome.NO_BETTER and found.winner == 0
    assert any("trial 2 is out" in line.lower() and "too few requests" in line for line in found.details)


def test_where_the_baseline_misses_and_nothing_is_shown_the_nearest_by_bound_is_named_first(verdict):
    found = verdict({0: 0.5, 1: 0.03, 2: 0.01}, missed={0: 0.4})
    assert found.outcome is Outcome.NOTHING_FEASIBLE and found.exit_code == 3
    assert found.headline.startswith("Nothing is shown to be feasible: trial 2 keeps every limit")
    assert found.nearest.trial == 2 and found.nearest.violations == {TTFT: 0.01}


def test_a_baseline_within_its_limits_by_luck_is_said_so_and_still_compared(verdict):
    found = verdict({0: 0.02})
    assert found.outcome is Outcome.BETTER
    assert any("baseline keeps every limit by what was measured" in line for line in found.details)


def test_by_how_much_the_baseline_misses_stands_in_the_headline(verdict):
    found = verdict({}, missed={0: 0.12})
    assert found.headline == "Only trial 1 keeps every limit; the baseline misses ttft_p95_ms by 12.0 %."


def test_a_baseline_that_could_not_be_measured_is_said_so(verdict):
    table = {**CLEAR, 0: ["crash: it ended", "crash: it ended", "crash: it ended"]}
    found = verdict({}, table=table)
    assert found.headline == "Only trial 1 keeps every limit; the baseline could not be measured."
