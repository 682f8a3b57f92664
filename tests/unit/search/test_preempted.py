"""A trial whose place somebody else took is measured again, however often that happens."""

from __future__ import annotations

from tuner.errors import Failure, FailureClass
from tuner.search.strategy import MOST_ATTEMPTS
from tuner.trial.ports import Slot, State
from tuner.trial.step import Step

PREEMPTED = Failure(FailureClass.PREEMPTED, "t-1 was taken away: PreemptionByScheduler")
FAULT = Failure(FailureClass.NODE_FAULT, "the node went away")


def interrupted(run, failure):
    """The next deployment, ended by somebody else; (trial, attempt)."""
    assignment, _ = run.desk.begin(Slot())
    run.desk.end(assignment.key, Step(None, State.INTERRUPTED, failure))
    return assignment.trial, assignment.attempt


def test_preemptions_do_not_count_among_the_attempts_of_a_trial(run_of, made_round):
    run = run_of("search.trials=1", "validation.enabled=false").start()
    times = MOST_ATTEMPTS + 4
    assert [interrupted(run, PREEMPTED) for _ in range(times)] == [(0, n + 1) for n in range(times)]
    assignment, _ = run.desk.begin(Slot())
    for number in range(1, assignment.rounds):
        run.desk.step(assignment.key, Step(made_round(number)))
    run.desk.end(assignment.key, Step(made_round(assignment.rounds), State.COMPLETE))
    assert [line.state for line in run.searched][-1] is State.COMPLETE
    assert {line.failure.kind for line in run.searched[:-1]} == {FailureClass.PREEMPTED}
    assert run.desk.begin(Slot()) is None and run.desk.finished


def test_faults_of_nodes_still_do(run_of):
    run = run_of("search.trials=1", "validation.enabled=false").start()
    for _ in range(MOST_ATTEMPTS):
        interrupted(run, FAULT)
    assert run.strategy.baseline_lost == FAULT
    assert run.desk.begin(Slot()) is None
