"""What an earlier start of the run remembers."""

from __future__ import annotations

import pytest

from tuner.results.lines import RoundLine, TrialLine
from tuner.search.assembly import Assembly
from tuner.search.memory import recalled, unfinished
from tuner.trial.objective import MergedObjective
from tuner.trial.ports import Phase, State

PARAMS = {"slots": 2, "batch": 64, "mode": "fast"}


@pytest.fixture
def remember(run_of, made_round):
    """A history from (trial, phase, attempt, rounds, state or None), with a study that knows `begun`."""

    def made(*entries, begun=()):
        run = run_of().start()
        rounds, trials = [], []
        for place, (number, phase, attempt, measured, state) in enumerate(entries):
            for n in range(1, measured + 1):
                rounds.append(RoundLine(number, phase, attempt, made_round(n)))
            if state is not None:
                block = 0 if phase is Phase.VALIDATION else None
                trials.append(
                    TrialLine(
                        number,
                        phase,
                        attempt,
                        state,
                        True,
                        PARAMS,
                        block=block,
                        node=f"node-{place}",
                        started=place,
                        ended=place + 5,
                    )
                )
        goals = Assembly.goals_of(run.experiment)
        objective = MergedObjective(goals, dict(run.experiment.slo))
        history = recalled(rounds, trials, goals=goals, objective=objective)
        run.study.repair(history.records)
        for number, attempt in begun:
            run.study.begin(number, PARAMS, attempt)
        return history, unfinished(history, run.study, rounds=3)

    return made


def shape(record):
    return [(d.phase, d.attempt, d.state, len(d.rounds), len(d.scores)) for d in record.deployments]


def test_ended_trials_are_kept_with_their_rounds_scores_and_cost(remember):
    history, again = remember((0, Phase.SEARCH, 1, 3, State.COMPLETE), (1, Phase.SEARCH, 1, 1, State.STOPPED))
    assert again == []
    assert shape(history.records[0]) == [(Phase.SEARCH, 1, State.COMPLETE, 3, 3)]
    assert shape(history.records[1]) == [(Phase.SEARCH, 1, State.STOPPED, 1, 1)]
    assert history.records[0].search.seconds == 5.0
    assert history.records[1].search.node == "node-1"
    assert history.next_number() == 2


def test_a_half_measured_trial_starts_again_as_the_next_attempt_and_its_rounds_count_for_nothing(remember):
    history, again = remember(
        (0, Phase.SEARCH, 1, 3, State.COMPLETE), (1, Phase.SEARCH, 1, 2, None), begun=[(1, 1)]
    )
    assert [(a.trial, a.phase, a.attempt, a.params, a.rounds) for a in again] == [
        (1, Phase.SEARCH, 2, PARAMS, 3)
    ]
    assert not history.records[1].ended
    assert all(not d.scores for d in history.records[1].deployments)


def test_a_trial_that_was_begun_and_measured_nothing_is_not_forgotten(remember):
    _, again = remember((0, Phase.SEARCH, 1, 3, State.COMPLETE), begun=[(1, 1)])
    assert [a.key for a in again] == [(1, Phase.SEARCH, 2)]


def test_an_interrupted_attempt_and_a_cut_one_are_both_counted(remember):
    history, again = remember(
        (0, Phase.SEARCH, 1, 3, State.COMPLETE),
        (1, Phase.SEARCH, 1, 1, State.INTERRUPTED),
        (1, Phase.SEARCH, 2, 1, None),
        begun=[(1, 2)],
    )
    assert [a.key for a in again] == [(1, Phase.SEARCH, 3)]
    assert [d.attempt for d in history.records[1].deployments] == [1, 2]


def test_a_trial_that_ended_after_interrupted_attempts_is_done(remember):
    history, again = remember(
        (0, Phase.SEARCH, 1, 3, State.COMPLETE),
        (1, Phase.SEARCH, 1, 1, State.INTERRUPTED),
        (1, Phase.SEARCH, 2, 3, State.COMPLETE),
    )
    assert again == [] and history.records[1].ended
    assert history.records[1].search.attempt == 2


def test_a_cut_validation_is_known_by_its_attempt_and_the_search_is_not_taken_up_again(remember):
    history, again = remember(
        (0, Phase.SEARCH, 1, 3, State.COMPLETE),
        (0, Phase.VALIDATION, 1, 3, State.COMPLETE),
        (0, Phase.VALIDATION, 2, 1, None),
        begun=[(1, 3)],
    )
    assert again == []
    assert [d.attempt for d in history.records[0].in_phase(Phase.VALIDATION)] == [1, 2]
    assert history.records[0].in_phase(Phase.VALIDATION)[1].block is None


def test_a_number_that_nobody_knows_the_parameters_of_is_not_given_again(remember):
    history, again = remember((0, Phase.SEARCH, 1, 3, State.COMPLETE), (1, Phase.SEARCH, 1, 2, None))
    assert again == [] and 1 not in history.records
    assert history.next_number() == 2
