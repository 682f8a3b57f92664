"""When a good configuration counts as measured, recommended and kept; and the summary over seeds."""

from __future__ import annotations

import math

import pytest

from tuner.search.replay.outcome import Found, Outcome, Tracker, summary
from tuner.trial.ports import State

GOOD = 7  # the one good configuration, by its `slots`


class OnlySeven:
    """A truth in which one configuration is good."""

    def is_good(self, params):
        return params["slots"] == GOOD


@pytest.fixture
def moments(past, score):
    """What a tracker saw of trials (slots, value, state), one after another, each ending at its number."""

    def seen(*trials):
        values = [[score(value)] for _, value, _ in trials]
        history = past(*values, states={i: state for i, (_, _, state) in enumerate(trials)})
        records = dict(history.records)
        history.records.clear()
        tracker = Tracker(OnlySeven(), history)
        for number, (slots, _, _) in enumerate(trials):
            records[number].params["slots"] = slots
            history.add(records[number])
            tracker.ended(records[number].search, Found(float(number), number + 1, 0.0))
        return tracker

    return seen


def test_a_good_one_that_was_stopped_was_not_measured(moments):
    found = moments((1, 100, State.COMPLETE), (GOOD, 200, State.STOPPED))
    assert found.measured is None and found.recommended is None and not found.found


def test_noise_may_keep_a_good_one_from_being_recommended(moments):
    found = moments((1, 100, State.COMPLETE), (GOOD, 90, State.COMPLETE))
    assert found.measured.seconds == 1 and found.recommended is None


def test_a_recommendation_that_is_lost_again_was_not_kept(moments):
    lost = moments((1, 100, State.COMPLETE), (GOOD, 200, State.COMPLETE), (2, 201, State.COMPLETE))
    assert lost.measured.seconds == lost.recommended.seconds == 1 and lost.kept is None
    kept = moments((1, 100, State.COMPLETE), (GOOD, 200, State.COMPLETE), (2, 199, State.COMPLETE))
    assert kept.kept == kept.recommended == Found(1.0, 2, 0.0)


def outcome(seconds):
    found = Found(seconds, 3, 0.0) if seconds is not None else None
    return Outcome(
        0, found, found, found, 99.0, 9, 0.0, 0.5, 0.6, 1.0, 0.2, {"complete": 9}, "spent", None, 0.0
    )


def test_the_summary_counts_what_was_never_found_as_infinite():
    told = summary([outcome(s) for s in (10.0, 30.0, None)])
    assert told["measured"]["seconds"] == {"median": 30.0, "p90": math.inf}
    assert told["measured"]["found"] == pytest.approx(2 / 3)
    assert summary([outcome(10.0), outcome(20.0)])["kept"]["seconds"]["median"] == 15
    assert outcome(10.0).to_json()["measured"] == {"seconds": 10.0, "trials": 3, "accelerator_seconds": 0.0}
