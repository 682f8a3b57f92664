"""Between the strategy and whatever runs the trials: what is written, when, and once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tuner.errors import Failure, FailureClass, WorldError
from tuner.search.stopping.hopeless import Hopeless
from tuner.trial.ports import Phase, Slot, State
from tuner.trial.rounds import Trust
from tuner.trial.step import Step


class Scripted:
    outlook = None

    def __init__(self, *params):
        self.left = list(params)

    def propose(self, number):
        return self.left.pop(0) if self.left else None

    def learn(self, record):
        pass


ONE = {"slots": 2, "batch": 64, "mode": "fast"}
TWO = {"slots": 4, "batch": 64, "mode": "fast"}


@pytest.fixture
def started(run_of):
    """A run whose proposer says ONE, then TWO."""
    return run_of("validation.top=1").start(proposer=Scripted(ONE, TWO), rules=[Hopeless()])


@pytest.fixture
def measured(made_round):
    return lambda number, ended=None, **figures: Step(made_round(number, **figures), ended)


def begin(run):
    assignment, trial = run.desk.begin(Slot())
    return assignment.key, trial


def whole(run, measured, **figures):
    """A deployment measured to its end."""
    key, _ = begin(run)
    run.desk.step(key, measured(1, **figures))
    run.desk.step(key, measured(2, **figures))
    run.desk.end(key, measured(3, State.COMPLETE, **figures))
    return key


def test_a_deployment_carries_flags_and_its_name(started):
    _, trial = begin(started)
    assert trial.arguments == ("--parallel", "1", "-b", "32", "--mode", "safe")
    assert trial.name == "demo-t0000-a1"


def test_a_finished_trial_leaves_its_rounds_and_one_line(started, measured):
    whole(started, measured, tokens_per_second=120)
    assert [line.round.number for line in started.store.rounds] == [1, 2, 3]
    assert [line.decision for line in started.store.rounds] == ["go on"] * 3
    (line,) = started.store.trials
    assert (line.trial, line.attempt, line.state, line.feasible) == (0, 1, State.COMPLETE, True)
    assert line.values == pytest.approx((120.0,))
    assert (line.failure, line.reason) == (None, "")


def test_the_metrics_of_a_round_line_are_of_that_round_and_its_values_of_all_so_far(started, measured):
    key, _ = begin(started)
    started.desk.step(key, measured(1, tokens_per_second=100))
    started.desk.step(key, measured(2, tokens_per_second=200))
    second = started.store.rounds[1]
    assert second.metrics["output_tokens_per_second"] == pytest.approx(200)
    assert second.values == pytest.approx((150.0,))


def test_a_round_that_is_handed_in_twice_counts_once(started, measured):
    key, _ = begin(started)
    started.desk.step(key, measured(1))
    started.desk.step(key, measured(1))
    started.desk.step(key, measured(2))
    last = measured(3, State.COMPLETE)
    started.desk.step(key, last)
    started.desk.end(key, last)
    assert [line.round.number for line in started.store.rounds] == [1, 2, 3]


def test_the_line_is_written_before_the_strategy_is_told(started, measured, monkeypatch):
    key, _ = begin(started)

    def full(line):
        raise WorldError("disk full")

    monkeypatch.setattr(started.store, "append_trial", full)
    with pytest.raises(WorldError):
        started.desk.end(key, measured(3, State.COMPLETE))
    assert started.strategy.deployment(key).state is None
    assert started.study.unfinished().keys() == {0}


def test_a_stopped_trial_is_written_with_its_reason_and_pruned(started, measured):
    whole(started, measured)
    key, _ = begin(started)
    late = measured(1, ttft_ms=500)
    assert started.desk.step(key, late) is True
    started.desk.end(key, late)
    line = started.store.trials[-1]
    assert (line.state, line.feasible) == (State.STOPPED, False)
    assert line.reason.startswith("hopeless: ttft_p95_ms")
    assert started.store.rounds[-1].decision == line.reason
    assert started.study._study.trials[1].state.name == "PRUNED"


def test_a_failed_trial_is_written_with_its_class_and_the_tail_of_its_log(started, measured):
    whole(started, measured)
    key, trial = begin(started)
    failure = Failure(FailureClass.ACCELERATOR_OOM, "out of memory", "last words", 1)
    started.desk.end(key, Step(None, State.FAILED, failure))
    line = started.store.trials[-1]
    assert (line.state, line.failure, line.feasible) == (State.FAILED, failure, False)
    assert started.store.logs == {trial.name: "last words"}


def test_a_trial_whose_actor_dies_is_interrupted_and_made_again(started, measured):
    whole(started, measured)
    key, _ = begin(started)
    started.desk.step(key, measured(1))
    started.desk.end(key, None)
    line = started.store.trials[-1]
    assert (line.state, line.failure.kind) == (State.INTERRUPTED, FailureClass.NODE_FAULT)
    again, trial = begin(started)
    assert again == (1, Phase.SEARCH, 2)
    assert trial.params == ONE
    started.desk.step(again, measured(1))
    assert [line.key for line in started.store.rounds[-2:]] == [key, again]


def test_a_backend_that_is_broken_stops_the_run_and_condemns_nothing(started):
    key, _ = begin(started)
    failure = Failure(FailureClass.BACKEND_BROKEN, "no cluster")
    started.desk.end(key, Step(None, State.INTERRUPTED, failure, stops_run=True))
    assert started.desk.begin(Slot()) is None and started.desk.finished
    assert started.desk.broken == failure
    assert started.strategy.baseline_failure is None


def test_a_trial_cut_short_by_ctrl_c_is_interrupted(started, measured):
    key, _ = begin(started)
    started.strategy.stop("interrupted")
    step = measured(1)
    assert started.desk.step(key, step) is True
    started.desk.end(key, step)
    assert started.store.trials[-1].state is State.INTERRUPTED


def test_a_last_round_that_comes_after_ctrl_c_still_completes_its_trial(started, measured):
    key, _ = begin(started)
    for number in (1, 2):
        started.desk.step(key, measured(number))
    started.strategy.stop("interrupted")
    started.desk.end(key, measured(3, State.COMPLETE))
    assert (started.store.trials[-1].state, started.store.trials[-1].reason) == (State.COMPLETE, "")


def test_client_bound_trials_are_written_as_not_feasible(started, measured):
    whole(started, measured)
    whole(started, measured, trust=Trust(client_bound=True))
    assert (started.store.trials[-1].state, started.store.trials[-1].feasible) == (State.COMPLETE, False)


def test_validation_lines_carry_their_block_and_no_decision(started, measured):
    whole(started, measured, tokens_per_second=100)
    whole(started, measured, tokens_per_second=200)
    whole(started, measured, tokens_per_second=50)
    key = whole(started, measured)
    assert key[1] is Phase.VALIDATION
    assert started.store.trials[-1].block == 0
    assert started.store.rounds[-1].decision == ""


def test_who_looks_on_sees_every_beginning_round_and_end(run_of, measured):
    seen = []

    class Watcher:
        def began(self, trial, assignment):
            seen.append("began")

        def measured(self, deployment):
            seen.append("measured")

        def ended(self, deployment):
            seen.append(str(deployment.state))

    run = run_of(watchers=[Watcher()]).start(proposer=Scripted(), rules=[])
    whole(run, measured)
    assert seen == ["began", "measured", "measured", "measured", "complete"]


def on_node(run, measured, node):
    """The line of a deployment that was measured on a node."""
    key, _ = begin(run)
    run.desk.end(key, replace(measured(1, State.COMPLETE), node=node))
    return run.store.trials[-1]


def test_the_first_deployment_on_a_node_is_cold_and_the_next_is_not(started, measured):
    assert [on_node(started, measured, node).cold for node in ("n1", "n2", "n1")] == [True, True, False]


def test_what_never_came_up_on_a_node_is_neither_cold_nor_warm(started, measured):
    key, _ = begin(started)
    started.desk.end(key, None)
    assert started.store.trials[-1].cold is None


def test_rounds_that_count_for_nothing_are_told_in_the_trials_line(started, measured):
    key, _ = begin(started)
    started.desk.step(key, measured(1, trust=Trust(client_bound=True)))
    started.desk.step(key, measured(2, trust=Trust(contaminated=True)))
    started.desk.end(key, measured(3, State.COMPLETE))
    (line,) = started.store.trials
    assert line.reason == "2 of 3 rounds left out: client-bound, contaminated"
    assert line.feasible


def test_a_trial_without_a_round_that_counts_says_so_and_is_not_feasible(started, measured):
    whole(started, measured, trust=Trust(invalid=True))
    (line,) = started.store.trials
    assert (line.reason, line.feasible) == ("3 of 3 rounds left out: invalid", False)


def test_an_slo_that_the_engine_offers_nothing_for_ends_the_run_after_the_baseline(run_of, measured):
    run = run_of("slo.kv_cache_use_max=0.9").start(proposer=Scripted(ONE, TWO), rules=[])
    whole(run, measured)
    (line,) = run.store.trials
    assert line.reason == "the engine does not offer kv_cache_use_max, which slo or objective names"
    assert not line.feasible
    assert run.desk.broken.message == line.reason
    assert run.desk.begin(Slot()) is None
