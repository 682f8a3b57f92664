"""From what was measured to the verdict."""

from __future__ import annotations

import pytest

from tuner.errors import Failure, FailureClass
from tuner.search.conclusion import concluded
from tuner.search.history import Deployment, History, TrialRecord
from tuner.trial.objective import Goal, MergedObjective
from tuner.trial.ports import Phase, State
from tuner.trial.rounds import Trust
from tuner.verdict import Outcome

GOAL = Goal("output_tokens_per_second", True)
OBJECTIVE = MergedObjective((GOAL,), {"ttft_p95_ms": 100})


@pytest.fixture
def conclude(experiment, made_round):
    """The verdict of {number: (search tokens, [tokens of each block])}; `late` miss the limit."""

    def deployment(number, phase, attempt, cell, block=None, *, ttft=50.0, trust=None):
        made = Deployment(number, phase, attempt, block, state=State.COMPLETE)
        if cell is None:
            made.state = State.INTERRUPTED
        elif isinstance(cell, str):
            made.state, made.failure = State.FAILED, Failure(FailureClass.CRASH, cell)
        else:
            made.rounds = [made_round(1, tokens_per_second=cell, ttft_ms=ttft, trust=trust)]
            made.scores = [OBJECTIVE.score(made.rounds)]
        return made

    def made(trials, *, candidates=(), late=(), interrupted=False, validated=True, client_bound=()):
        history = History((GOAL,))
        points = list(experiment().space.grid())
        for number, (searched, blocks) in trials.items():
            more = {
                "ttft": 300.0 if number in late else 50.0,
                "trust": Trust(client_bound=True) if number in client_bound else None,
            }
            record = TrialRecord(number, points[number])
            record.deployments.append(deployment(number, Phase.SEARCH, 1, searched, **more))
            for block, cell in enumerate(blocks):
                record.deployments.append(
                    deployment(number, Phase.VALIDATION, block + 1, cell, block, **more)
                )
            history.add(record)
        return concluded(
            history,
            candidates=[history.records[n] for n in candidates],
            space=experiment().space,
            goals=(GOAL,),
            objective=OBJECTIVE,
            interrupted=interrupted,
            validated=validated,
        )

    return made


def test_a_clear_winner_is_better(conclude):
    found = conclude({0: (100, [100, 101, 99]), 1: (150, [150, 152, 149])}, candidates=[1])
    assert (found.outcome, found.winner) == (Outcome.BETTER, 1)
    assert found.gain.low > 0


def test_a_winner_of_the_search_that_does_not_hold_up_is_no_better(conclude):
    found = conclude({0: (100, [100, 101, 99]), 1: (150, [99, 102, 100])}, candidates=[1])
    assert (found.outcome, found.winner) == (Outcome.NO_BETTER, 0)


def test_nothing_that_measured_better_keeps_the_baseline(conclude):
    found = conclude({0: (100, []), 1: (90, []), 2: ("crash", [])})
    assert (found.outcome, found.winner) == (Outcome.NO_BETTER, 0)
    assert "none of 2 other configurations" in found.headline


def test_a_baseline_beyond_the_limit_leaves_the_winner_alone_feasible(conclude):
    found = conclude({0: (100, [100] * 3), 1: (80, [80, 81, 79])}, candidates=[1], late=[0])
    assert (found.outcome, found.winner) == (Outcome.ONLY_WINNER_FEASIBLE, 1)


def test_nothing_feasible_recommends_nothing_and_names_the_nearest(conclude):
    found = conclude({0: (100, []), 1: (300, [])}, late=[0, 1])
    assert (found.outcome, found.winner, found.exit_code) == (Outcome.NOTHING_FEASIBLE, None, 3)
    assert found.nearest.violations == pytest.approx({"ttft_p95_ms": 2.3}, abs=0.02)


def test_an_interrupted_run_claims_no_gain(conclude):
    trials = {0: (100, [100, 100]), 1: (150, [150, 150])}
    found = conclude(trials, candidates=[1], interrupted=True)
    assert (found.outcome, found.winner, found.gain) == (Outcome.UNVALIDATED, 1, None)
    assert "the run was interrupted" in found.headline


def test_a_run_interrupted_before_its_first_trial_has_a_verdict_too(conclude):
    found = conclude({}, interrupted=True)
    assert (found.outcome, found.winner) == (Outcome.UNVALIDATED, None)


def test_without_validation_the_best_of_the_search_is_shown_and_not_recommended(conclude):
    found = conclude({0: (100, []), 1: (150, [])}, candidates=[1], validated=False)
    assert (found.outcome, found.winner, found.recommends) == (Outcome.UNVALIDATED, 1, False)
    assert "validation is switched off" in found.headline


def test_a_validation_of_which_nothing_ended_says_so(conclude):
    found = conclude({0: (100, [None] * 3), 1: (150, [None] * 3)}, candidates=[1])
    assert found.outcome is Outcome.UNVALIDATED
    assert "no deployment of the validation ended" in found.headline


def test_a_candidate_that_fails_in_the_validation_is_out(conclude):
    trials = {0: (100, [100, 101, 99]), 1: (190, [190, "ended", 191]), 2: (150, [150, 151, 149])}
    found = conclude(trials, candidates=[1, 2])
    assert (found.outcome, found.winner) == (Outcome.BETTER, 2)
    assert any("Trial 1 is out" in line for line in found.details)


def test_client_bound_deployments_never_win(conclude):
    found = conclude({0: (100, [100] * 3), 1: (900, [900] * 3)}, candidates=[1], client_bound=[1])
    assert found.winner != 1 or not found.recommends
