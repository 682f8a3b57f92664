"""The Pareto front, what may belong to it, and its knee, on cases made by hand."""

from __future__ import annotations

import math
import random

import pytest

from tuner.verdict.front import Point, front_of

UNKNOWN = (math.nan, math.nan)
UP_DOWN = (True, False)  # throughput up, latency down


def points(*values, noise=0.0):
    """Trials 0, 1, ... with these values, each with an interval of +- `noise` as a share."""
    return [
        Point(i, tuple(v), tuple((x * (1 - noise), x * (1 + noise)) for x in v)) for i, v in enumerate(values)
    ]


def test_what_is_beaten_in_every_objective_is_off_the_front():
    found = front_of(points((100, 50), (200, 40), (150, 30)), maximize=UP_DOWN)
    assert found.trials == (1, 2)
    assert [found.place(t) for t in (0, 1, 2)] == ["", "balanced", "front"]


def test_equal_in_one_objective_and_worse_in_the_other_is_beaten():
    assert front_of(points((100, 50), (100, 40)), maximize=UP_DOWN).trials == (1,)


def test_ties_in_every_objective_all_stay():
    assert front_of(points((100, 50), (100, 50), (90, 60)), maximize=UP_DOWN).trials == (0, 1)


def test_the_front_begins_with_the_best_in_the_first_objective():
    values = (100, 10), (300, 30), (200, 20)
    assert front_of(points(*values), maximize=UP_DOWN).trials == (1, 2, 0)
    assert front_of(points(*values), maximize=(False, True)).trials == (0, 2, 1)


def test_a_trial_whose_interval_overlaps_in_one_objective_is_not_called_beaten():
    # trial 1 is 4 % slower and far later than trial 0: it may be as fast, but it is not as early
    found = front_of(points((100, 50), (96, 90), noise=0.05), maximize=UP_DOWN)
    assert found.trials == (0,)
    assert [p.trial for p in found.near] == [1] and found.place(1) == "near"


def test_a_trial_whose_intervals_are_all_apart_is_beaten():
    found = front_of(points((100, 50), (80, 90), noise=0.05), maximize=UP_DOWN)
    assert found.near == () and found.place(1) == ""


def test_where_an_interval_is_not_known_nobody_is_called_beaten():
    one, other = Point(0, (100.0, 50.0), (UNKNOWN, (50.0, 50.0))), Point(1, (10.0, 900.0), (UNKNOWN, UNKNOWN))
    assert front_of([one, other], maximize=UP_DOWN).place(1) == "near"


def test_the_front_is_what_holding_each_against_each_gives():
    rng = random.Random(3)
    for _ in range(200):
        up = tuple(rng.random() < 0.5 for _ in range(rng.choice((2, 3))))
        drawn = [drawn_point(rng, trial, len(up)) for trial in range(rng.randint(1, 12))]
        on = {p.trial for p in drawn if not any(beats(q.values, p.values, up) for q in drawn)}
        sure = {p.trial for p in drawn if any(surely(q, p, up) for q in drawn)}
        found = front_of(drawn, maximize=up)
        assert set(found.trials) == on
        assert {p.trial for p in found.near} == {p.trial for p in drawn} - on - sure


def drawn_point(rng, trial, objectives):
    values = tuple(float(rng.randint(1, 5)) for _ in range(objectives))
    ends = [(v - rng.choice((0, 0.5, 1)), v + rng.choice((0, 0.5, 1, math.inf))) for v in values]
    return Point(trial, values, tuple(UNKNOWN if rng.random() < 0.1 else end for end in ends))


def beats(one, other, up):
    pairs = [(a, b) if more else (-a, -b) for a, b, more in zip(one, other, up, strict=True)]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def surely(one, other, up):
    worst = [a[0] if more else a[1] for a, more in zip(one.intervals, up, strict=True)]
    best = [b[1] if more else b[0] for b, more in zip(other.intervals, up, strict=True)]
    return beats(worst, best, up)


def test_an_open_end_is_no_better_end():
    late = Point(1, (90.0, 80.0), ((89.0, 91.0), (75.0, math.inf)))
    found = front_of([*points((100, 50), noise=0.01), late], maximize=UP_DOWN)
    assert found.place(1) == ""  # its better end is known, and worse


def test_a_trial_that_is_no_number_somewhere_is_left_out():
    found = front_of(points((100, 50), (200, math.nan)), maximize=UP_DOWN)
    assert (found.trials, found.knee) == ((0,), 0)


def test_no_trial_leaves_an_empty_front_without_a_knee():
    found = front_of([], maximize=UP_DOWN)
    assert (found.trials, found.knee, found.bulges) == ((), None, False)


def test_a_single_trial_is_its_own_recommendation_and_no_knee():
    found = front_of(points((100, 50)), maximize=UP_DOWN)
    assert (found.knee, found.bulges) == (0, False)
    assert found.balance.weights == (0.5, 0.5)


def test_of_two_trials_the_better_geometric_mean_is_taken():
    # 2 times the throughput at 3 times the latency: the first is the better bargain
    found = front_of(points((100, 10), (200, 30)), maximize=UP_DOWN)
    assert (found.knee, found.bulges) == (0, False)


def test_the_knee_lies_farthest_from_the_chord_of_the_logarithms():
    # on log scales: (0, 1), (0.9, 0.8), (1, 0)
    values = [(100 * 4**x, 10 ** (2 - y)) for x, y in ((0, 1), (0.9, 0.8), (1, 0))]
    found = front_of(points(*values), maximize=UP_DOWN)
    assert (found.knee, found.bulges) == (1, True)
    assert found.place(1) == "knee"


def test_the_weights_are_the_inverse_ranges_of_the_logarithms():
    values = [(100 * 4**x, 10 ** (2 - y)) for x, y in ((0, 1), (0.9, 0.8), (1, 0))]
    weights = front_of(points(*values), maximize=UP_DOWN).balance.weights
    assert weights[0] / weights[1] == pytest.approx(math.log(10) / math.log(4))
    assert sum(weights) == pytest.approx(1)


def test_an_objective_of_a_wide_range_does_not_leave_the_others_without_a_say():
    # latency spans a factor of 1000, throughput one of 2; equal weights would take the earliest
    values = [(100, 1), (190, 10), (200, 1000)]
    found = front_of(points(*values), maximize=UP_DOWN)
    assert found.knee == 1
    assert 190 / 10 < 100 / 1  # the product alone says trial 0


def test_the_knee_does_not_depend_on_units():
    values = [(100, 1), (190, 10), (200, 1000)]
    scaled = [(v * 60, w / 1000) for v, w in values]
    one, other = (front_of(points(*v), maximize=UP_DOWN) for v in (values, scaled))
    assert one.knee == other.knee
    assert one.balance.weights == pytest.approx(other.balance.weights)


def test_a_front_that_does_not_bulge_has_no_knee_and_the_better_end_is_taken():
    # on log scales (0, 1), (0.2, 0.2), (1, 0): the middle lies behind the chord
    values = [(100 * 4**x, 10 ** (2 - y)) for x, y in ((0, 1), (0.2, 0.2), (1, 0))]
    for unit in (1, 7, 60, 1000, 1 / 3):
        found = front_of(points(*((v / unit, w * unit) for v, w in values)), maximize=UP_DOWN)
        assert not found.bulges
        assert found.knee == 0  # a tenth of the latency for a quarter of the throughput


def test_noise_is_not_spread_over_the_whole_unit():
    # throughput hardly differs (2 %) and is known to 10 %; latency differs twofold
    values = [(100, 10), (101, 14), (102, 20)]
    weights = front_of(points(*values, noise=0.1), maximize=UP_DOWN).balance.weights
    assert weights[0] / weights[1] == pytest.approx(math.log(2) / math.log(1.1 / 0.9))


def test_an_objective_with_a_zero_has_no_weight_and_still_makes_the_front():
    found = front_of(points((100, 0.0), (200, 0.01), (150, 0.02)), maximize=UP_DOWN)
    assert found.trials == (1, 0)
    assert found.balance.weights == (1.0, 0.0)
    assert found.knee == 1


def test_objectives_without_any_logarithm_have_no_knee():
    found = front_of(points((0.0, 5.0), (0.0, 6.0)), maximize=(True, True))
    assert found.trials == (1,)
    nothing = front_of(points((0.0, 0.0)), maximize=(True, True))
    assert nothing.knee is None and nothing.balance.weights == (0.0, 0.0)


def test_three_objectives_have_a_knee_too():
    values = [(4, 1, 1), (1, 4, 1), (1, 1, 4), (3, 3, 3)]
    found = front_of(points(*values), maximize=(True, True, True))
    assert (found.knee, found.bulges) == (3, True)


def test_a_tie_for_the_knee_is_the_first_trial():
    values = [(1, 4), (3, 3), (3, 3), (4, 1)]
    assert front_of(points(*values), maximize=(True, True)).knee == 1


def test_the_balance_is_a_weighted_geometric_mean_with_what_is_minimised_as_its_inverse():
    balance = front_of(points((100, 50)), maximize=UP_DOWN).balance
    assert balance.log((400.0, 25.0)) == pytest.approx(math.log(math.sqrt(400 / 25)))
    assert balance.log((0.0, 25.0)) == -math.inf
