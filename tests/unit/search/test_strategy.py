"""The brain of a run as a state machine, with a scripted proposer."""

from __future__ import annotations

from collections import Counter

import pytest

from tuner.errors import Failure, FailureClass
from tuner.search.budget import Limits
from tuner.search.history import History
from tuner.search.strategy import MOST_ATTEMPTS, Settings, Strategy
from tuner.trial.objective import Goal, MergedObjective
from tuner.trial.ports import Phase, State
from tuner.trial.rounds import Trust

GOAL = Goal("output_tokens_per_second", True)
FAULT = Failure(FailureClass.NODE_FAULT, "the node went away")
CRASH = Failure(FailureClass.CRASH, "ended")


class Scripted:
    outlook = None

    def __init__(self, *params):
        self.left, self.learned = list(params), []

    def propose(self, number):
        return self.left.pop(0) if self.left else None

    def learn(self, record):
        self.learned.append(record.number)


class Always:
    """Stops whatever it is asked about."""

    def stop(self, running, history):
        return "always"


@pytest.fixture
def make():
    def made(*params, rules=(), trials=99, rounds=2, top=2, blocks=3, parallel=1, **limits):
        return Strategy(
            Settings(Limits(trials, **limits), rounds, rounds, top, blocks, parallel, seed=0),
            baseline={"slots": 1},
            objective=MergedObjective((GOAL,), {"ttft_p95_ms": 100}),
            history=History((GOAL,)),
            proposer=Scripted(*params),
            rules=rules,
        )

    return made


@pytest.fixture
def work(made_round):
    """Measure and end what was asked for: `tokens`, or a failure, or an interruption."""

    def done(strategy, found, tokens=100.0, *, ttft=50.0, state=State.COMPLETE, failure=None, trust=None):
        if state is State.COMPLETE:
            for number in range(1, found.rounds + 1):
                strategy.report(
                    found.key,
                    made_round(number, tokens_per_second=tokens, ttft_ms=ttft, trust=trust),
                )
        strategy.tell(found.key, state, failure=failure, seconds=10, accelerator_seconds=10, times={})

    return done


def ask(strategy):
    return strategy.ask(elapsed_seconds=0.0)


def search(strategy, work, values):
    """The whole search; trial n measures values[n]."""
    while strategy.search_ended is None:
        found = ask(strategy)
        if found is None or found.phase is Phase.VALIDATION:
            return found
        work(strategy, found, values[found.trial])
    return None


def test_the_baseline_comes_first_and_alone_until_its_first_round(make, made_round):
    s = make({"slots": 2}, {"slots": 4}, parallel=3)
    first = ask(s)
    assert (first.trial, first.phase, first.attempt, first.params) == (0, Phase.SEARCH, 1, {"slots": 1})
    assert ask(s) is None and ask(s) is None and not s.finished
    s.report(first.key, made_round(1))
    assert [ask(s).params, ask(s).params] == [{"slots": 2}, {"slots": 4}]


def test_the_baseline_is_never_stopped(make, made_round):
    s = make({"slots": 2}, rules=[Always()])
    first = ask(s)
    assert s.report(first.key, made_round(1)) is None
    assert s.report(ask(s).key, made_round(1)) == "always"


def test_a_trial_is_not_stopped_after_its_last_round(make, made_round):
    s = make({"slots": 2}, rules=[Always()], rounds=1)
    s.report(ask(s).key, made_round(1))
    assert s.report(ask(s).key, made_round(1)) is None


def test_client_bound_rounds_never_prune(make, made_round):
    s = make({"slots": 2}, rules=[Always()], rounds=3)
    s.report(ask(s).key, made_round(1))
    second = ask(s)
    assert s.report(second.key, made_round(1, trust=Trust(client_bound=True))) is None
    assert s.report(second.key, made_round(2)) == "always"


def test_an_interrupted_trial_is_made_again_with_the_same_number_at_most_three_times(make, work):
    s = make({"slots": 2})
    work(s, ask(s))
    seen = []
    for _ in range(MOST_ATTEMPTS):
        found = ask(s)
        seen.append((found.trial, found.attempt, found.params))
        work(s, found, state=State.INTERRUPTED, failure=FAULT)
    assert seen == [(1, attempt, {"slots": 2}) for attempt in (1, 2, 3)]
    assert ask(s) is None and s.finished
    assert s._proposer.learned == [0]


def test_a_trial_that_found_no_room_in_its_time_does_not_wait_for_as_long_again(make, work):
    s = make({"slots": 2}, {"slots": 4})
    work(s, ask(s))
    work(s, ask(s), state=State.INTERRUPTED, failure=Failure(FailureClass.UNSCHEDULABLE, "on no node"))
    assert ask(s).trial == 2
    assert s._proposer.learned == [0]


def test_a_baseline_that_fails_stops_the_run(make, work):
    s = make({"slots": 2})
    work(s, ask(s), state=State.FAILED, failure=CRASH)
    assert ask(s) is None and s.finished
    assert s.baseline_failure == CRASH


def test_a_baseline_that_is_interrupted_every_time_stops_the_run_and_is_not_condemned(make, work):
    s = make({"slots": 2})
    for _ in range(MOST_ATTEMPTS):
        work(s, ask(s), state=State.INTERRUPTED, failure=FAULT)
    assert ask(s) is None and s.finished
    assert (s.baseline_failure, s.baseline_lost) == (None, FAULT)


def test_the_search_ends_where_the_proposer_has_nothing_left(make, work):
    s = make({"slots": 2})
    search(s, work, {0: 100, 1: 90})
    assert s.search_ended == "every configuration of the space was tried"
    assert ask(s) is None and s.finished


def test_only_what_looks_better_than_the_baseline_is_validated_the_best_first(make, work):
    s = make(*[{"slots": n} for n in (2, 4, 8, 16)], top=2)
    search(s, work, {0: 100, 1: 90, 2: 110, 3: 130, 4: 120})
    assert [r.number for r in s.candidates()] == [3, 4]


def test_all_feasible_ones_are_candidates_where_the_baseline_is_not(make, work):
    s = make({"slots": 2}, {"slots": 4})
    work(s, ask(s), 500, ttft=400)
    search(s, work, {1: 10, 2: 20})
    assert [r.number for r in s.candidates()] == [2, 1]


def test_infeasible_client_bound_and_stopped_trials_are_no_candidates(make, work):
    s = make({"slots": 2}, {"slots": 4}, {"slots": 8}, {"slots": 16})
    work(s, ask(s), 100)
    work(s, ask(s), 900, ttft=400)
    work(s, ask(s), 900, trust=Trust(client_bound=True))
    work(s, ask(s), state=State.STOPPED)
    work(s, ask(s), state=State.FAILED, failure=CRASH)
    assert s.candidates() == []


def test_nothing_better_means_no_validation(make, work):
    s = make({"slots": 2})
    search(s, work, {0: 100, 1: 50})
    assert ask(s) is None and s.finished
    assert s.phase is Phase.VALIDATION


def test_every_block_holds_each_candidate_and_the_baseline_once_and_blocks_do_not_overlap(make, work):
    s = make({"slots": 2}, {"slots": 4}, parallel=4)
    found = search(s, work, {0: 100, 1: 130, 2: 120})
    order = []
    while not s.finished:
        running = [found] if found is not None else []
        while (more := ask(s)) is not None:
            running.append(more)
        found = None
        assert len({a.block for a in running}) == 1
        order += [(a.block, a.trial) for a in running]
        for a in running:
            work(s, a)
    assert Counter(order) == Counter((block, trial) for block in range(3) for trial in (0, 1, 2))


def test_a_block_asks_for_the_node_where_it_began(make, work):
    s = make({"slots": 2}, top=1)
    found = search(s, work, {0: 100, 1: 130}) or ask(s)
    assert found.near == ""
    s.deployment(found.key).node = "n1"
    work(s, found)
    second = ask(s)
    assert (second.block, second.near) == (found.block, "n1")
    work(s, second)
    assert ask(s).near == ""


def test_no_arm_comes_first_more_often_than_another(make, work):
    s = make({"slots": 2}, {"slots": 4})
    found = search(s, work, {0: 100, 1: 130, 2: 120})
    order = []
    while (found := found or ask(s)) is not None:
        order.append(found.trial)
        work(s, found)
        found = None
    assert sorted(order[::3]) == [0, 1, 2]


def test_an_interrupted_validation_is_made_again_in_its_own_block(make, work):
    s = make({"slots": 2}, top=1)
    found = search(s, work, {0: 100, 1: 130}) or ask(s)
    work(s, found, state=State.INTERRUPTED, failure=FAULT)
    again = ask(s)
    assert (again.trial, again.block, again.attempt) == (found.trial, found.block, found.attempt + 1)


def test_validation_does_not_begin_while_a_search_trial_runs(make, work):
    s = make({"slots": 2}, {"slots": 4}, parallel=2)
    work(s, ask(s))
    one, two = ask(s), ask(s)
    work(s, one, 150)
    assert ask(s) is None and not s.finished
    work(s, two, 10)
    assert ask(s).phase is Phase.VALIDATION


def test_without_validation_the_run_ends_with_the_search(make, work):
    s = make({"slots": 2}, top=0)
    search(s, work, {0: 100, 1: 130})
    assert ask(s) is None and s.finished


def test_after_stop_nothing_starts_and_what_runs_is_told_to_end(make, work, made_round):
    s = make({"slots": 2})
    work(s, ask(s))
    second = ask(s)
    s.stop("interrupted")
    assert s.report(second.key, made_round(1)) == "interrupted"
    assert ask(s) is None and not s.finished
    work(s, second, state=State.INTERRUPTED, failure=FAULT)
    assert ask(s) is None and s.finished


def test_the_budget_of_trials_ends_the_search(make, work):
    s = make({"slots": 2}, {"slots": 4}, trials=2)
    search(s, work, {0: 100, 1: 90})
    assert s.search_ended == "all 2 trials of the budget were started"
