"""Whether the baseline stays where it was."""

from __future__ import annotations

import random

import pytest

from tuner.verdict import Level, drift_of


def level(at: float, *logs: float) -> Level:
    return Level(at, logs)


def test_one_deployment_tells_no_drift():
    assert drift_of([level(0, 0.1, 0.2)]) is None


def test_a_move_beyond_what_the_rounds_explain_is_seen_and_levelled_evenly_in_time():
    late = level(200, 0.05, 0.049)
    found = drift_of([level(100, 0.001, -0.001, 0.0), level(0, -0.1, -0.101, -0.099), late])
    assert found.moved
    assert found.logs == pytest.approx((0.0, 0.1, 0.1495))
    assert found.log_at(50) == pytest.approx(0.05)
    assert found.log_at(150) == pytest.approx(0.12475)
    assert (found.log_at(-1), found.log_at(999)) == pytest.approx((0.0, 0.1495))
    assert found.range_share == pytest.approx(0.161, abs=0.001)


def test_what_the_rounds_explain_is_no_move():
    found = drift_of([level(0, 0.03, -0.03, 0.02, -0.02), level(9, 0.04, -0.02, 0.03, -0.01)])
    assert not found.moved and found.log_at(5) == 0.0


def test_a_sure_move_too_small_to_matter_is_none():
    found = drift_of([level(0, 0.0, 1e-5, -1e-5), level(9, 0.004, 0.00401, 0.00399)])
    assert found.probability < 1e-6 and not found.moved


def test_single_rounds_cannot_be_judged():
    found = drift_of([level(0, 0.0), level(9, 0.3)])
    assert not found.moved and found.log_at(9) == 0.0


def test_steady_deployments_are_seldom_said_to_move():
    rng = random.Random(3)
    alarms = 0
    for _ in range(500):
        drawn = [level(t, *(rng.gauss(0, 0.03) for _ in range(4))) for t in range(3)]
        alarms += drift_of(drawn).moved
    assert alarms <= 12  # of 500, at 1 %


def test_two_at_the_very_same_time_leave_no_division_by_zero():
    found = drift_of([level(5, 0.0, 0.001), level(5, 0.2, 0.201), level(9, 0.1, 0.101)])
    assert found.moved and found.log_at(7.0) == pytest.approx(0.15, abs=0.001)
