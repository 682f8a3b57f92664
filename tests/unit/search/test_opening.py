"""A run with `search.window`: what it hands out near the closing, what it stops there, how it goes on."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tuner.errors import Failure, FailureClass
from tuner.search.history import Deployment, History, TrialRecord
from tuner.search.opening import Opening, Pauses, always_open, expected_seconds
from tuner.spec.window import Window
from tuner.trial.objective import Goal
from tuner.trial.ports import Phase, Slot, State
from tuner.trial.step import Step

NIGHT = Window.parsed("22:00-06:00 UTC")
HOUR = 3600.0


def at(hour, minute=0, *, day=25):
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC).timestamp()


class Clock:
    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


def opening(clock, *, seconds=HOUR):
    return Opening(NIGHT, expected_seconds=lambda rounds: seconds, now=clock)


def test_without_a_window_everything_is_open():
    assert always_open().admits(9) and not always_open().closed and always_open().cut_short == ""


def test_nothing_begins_that_would_not_end_before_the_closing():
    clock = Clock(at(22))
    night = opening(clock)
    assert night.admits(4)
    clock.now = at(5, 0, day=26)
    assert night.admits(4)
    clock.now = at(5, 1, day=26)
    assert not night.admits(4) and not night.closed
    clock.now = at(6, 0, day=26)
    assert not night.admits(4) and night.closed
    assert night.opens_at() == at(22, 0, day=26)


def test_what_takes_longer_than_a_window_is_tried_at_its_beginning_alone():
    clock = Clock(at(22, 40))
    night = opening(clock, seconds=9 * HOUR)
    assert night.admits(4)
    clock.now = at(23)
    assert not night.admits(4)


def ended(number, made_round, *, seconds, rounds, measuring, state=State.COMPLETE):
    done = [made_round(n) for n in range(1, rounds + 1)]
    deployment = Deployment(number, Phase.SEARCH, 1, rounds=done, state=state, seconds=seconds)
    deployment.times = {"rounds": measuring}
    return TrialRecord(number, {}, [deployment])


def test_what_is_expected_is_the_slowest_way_up_and_rounds_at_their_mean(made_round):
    history = History((Goal("output_tokens_per_second", True),))
    assert expected_seconds(history, 4, first_guess=77.0) == 77.0
    history.add(ended(0, made_round, seconds=100.0, rounds=4, measuring=80.0))
    history.add(ended(1, made_round, seconds=150.0, rounds=4, measuring=90.0))
    history.add(ended(2, made_round, seconds=900.0, rounds=1, measuring=10.0, state=State.STOPPED))
    assert expected_seconds(history, 4, first_guess=77.0) == 60.0 + 4 * 170 / 8
    assert expected_seconds(history, 8, first_guess=77.0) == 60.0 + 8 * 170 / 8


# -- a run -----------------------------------------------------------------------------------------


@pytest.fixture
def paused(run_of):
    """A run of three trials at 22:00, whose deployments are expected to take an hour."""
    run = run_of("search.trials=3", "search.sampler=grid", "validation.enabled=false").start()
    clock = Clock(at(22))
    run.desk.opening = opening(clock)
    return run, clock


def measure(run, begun, made_round):
    """A deployment to its end."""
    assignment, _ = begun
    for number in range(1, assignment.rounds):
        run.desk.step(assignment.key, Step(made_round(number)))
    run.desk.end(assignment.key, Step(made_round(assignment.rounds), State.COMPLETE))


def test_a_run_pauses_before_the_closing_says_until_when_and_goes_on_with_the_same_trial(paused, made_round):
    run, clock = paused
    measure(run, run.desk.begin(Slot()), made_round)
    clock.now = at(5, 30, day=26)
    assert run.desk.begin(Slot()) is None
    assert not run.desk.finished
    assert run.desk.paused_until == at(22, 0, day=26)
    assert (
        run.desk.opening.told(run.desk.paused_until)
        == "paused until 2026-11-26 22:00 UTC (search.window 22:00-06:00 UTC)"
    )
    clock.now = at(22, 0, day=26)
    assert run.desk.paused_until is None
    begun = run.desk.begin(Slot())
    assert (begun[0].trial, begun[0].attempt) == (1, 1)
    measure(run, begun, made_round)
    measure(run, run.desk.begin(Slot()), made_round)
    assert run.desk.begin(Slot()) is None and run.desk.finished
    assert [line.state for line in run.searched] == [State.COMPLETE] * 3


def test_while_something_runs_it_is_not_paused(paused, made_round):
    run, clock = paused
    begun = run.desk.begin(Slot())
    run.desk.step(begun[0].key, Step(made_round(1)))
    clock.now = at(5, 30, day=26)
    assert run.desk.begin(Slot()) is None
    assert run.desk.paused_until is None and run.desk.opening.told(None) == ""


def test_what_runs_at_the_closing_is_interrupted_and_measured_again_in_the_next_window(paused, made_round):
    run, clock = paused
    measure(run, run.desk.begin(Slot()), made_round)
    begun = run.desk.begin(Slot())
    clock.now = at(6, 0, day=26)
    assert run.desk.opening.closed
    cancelled = Failure(FailureClass.CANCELLED, "the round was cancelled")
    run.desk.end(begun[0].key, Step(None, State.INTERRUPTED, cancelled))
    line = run.searched[-1]
    assert (line.state, line.failure.kind) == (State.INTERRUPTED, FailureClass.CANCELLED)
    assert line.failure.message == "search.window 22:00-06:00 UTC closed; it is measured again in the next"
    clock.now = at(22, 30, day=26)
    again = run.desk.begin(Slot())
    assert (again[0].trial, again[0].attempt) == (begun[0].trial, 2)


def test_a_pause_ends_at_once_when_somebody_wants_the_run_to_end(paused, made_round):
    run, clock = paused
    measure(run, run.desk.begin(Slot()), made_round)
    clock.now = at(12, 0, day=26)
    assert run.desk.begin(Slot()) is None and not run.desk.finished
    run.strategy.stop("interrupted")
    assert run.desk.finished
    assert run.desk.paused_until is None


def test_a_run_with_nothing_left_ends_though_the_window_is_closed(paused, made_round):
    run, clock = paused
    for _ in range(3):
        measure(run, run.desk.begin(Slot()), made_round)
    clock.now = at(12, 0, day=26)
    assert run.desk.begin(Slot()) is None
    assert run.desk.finished


def test_a_resumed_run_measures_what_the_pause_held_back(paused, made_round):
    run, clock = paused
    measure(run, run.desk.begin(Slot()), made_round)
    clock.now = at(12, 0, day=26)
    assert run.desk.begin(Slot()) is None
    run.start()  # a new driver
    numbers = []
    while (begun := run.desk.begin(Slot())) is not None:
        numbers.append(begun[0].trial)
        measure(run, begun, made_round)
    assert numbers == [1, 2]


def test_pauses_are_counted_from_look_to_look():
    clock = Clock(0.0)
    pauses = Pauses(clock)
    for now, paused in ((1.0, False), (5.0, True), (7.0, True), (10.0, False), (20.0, False), (30.0, True)):
        clock.now = now
        pauses.look(paused=paused)
    assert pauses.seconds == 5.0
