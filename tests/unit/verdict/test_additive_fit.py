"""Arms compared over blocks by the scatter of all of them."""

from __future__ import annotations

import math
import random
from statistics import fmean

import pytest

from tuner.verdict.additive import Additive

RUNS = 500


def drawn(rng: random.Random, *, effects=(0.0, 0.05, 0.02), deviations=(0.015,) * 3, blocks=3):
    """Arm -> block -> log; 10 % between the blocks."""
    common = [rng.gauss(0, 0.1) for _ in range(blocks)]
    return {
        arm: {b: common[b] + effect + rng.gauss(0, deviation) for b in range(blocks)}
        for arm, (effect, deviation) in enumerate(zip(effects, deviations, strict=True))
    }


def shown(logs) -> bool:
    low, _ = Additive(logs).difference(1, 0).interval()
    return low > 0


def test_of_complete_blocks_the_difference_is_the_mean_of_the_ratios_and_the_scatter_that_of_all_arms():
    logs = drawn(random.Random(1))
    found = Additive(logs).difference(1, 0)
    assert found.mean == pytest.approx(fmean(logs[1][b] - logs[0][b] for b in range(3)))
    rows = {a: fmean(of.values()) for a, of in logs.items()}
    columns = [fmean(of[b] for of in logs.values()) for b in range(3)]
    grand = fmean(rows.values())
    squares = sum((logs[a][b] - rows[a] - columns[b] + grand) ** 2 for a in logs for b in range(3))
    assert found.degrees == 4
    assert found.error == pytest.approx(math.sqrt(squares / 4 * 2 / 3))


def test_two_arms_have_the_paired_interval():
    logs = {0: {0: 0.0, 1: 0.0, 2: 0.0}, 1: {0: 0.1, 1: 0.2, 2: 0.15}}
    low, high = Additive(logs).difference(1, 0).interval()
    half = 4.302653 * 0.05 / math.sqrt(3)
    assert (low, high) == pytest.approx((0.15 - half, 0.15 + half))


def test_the_scatter_of_all_arms_shows_what_one_pair_cannot_and_holds_the_truth_as_often():
    rng = random.Random(2)
    alone = together = held = 0
    for _ in range(RUNS):
        logs = drawn(rng)
        alone += shown({a: logs[a] for a in (0, 1)})
        together += shown(logs)
        low, high = Additive(logs).difference(1, 0).interval()
        held += low <= 0.05 <= high
    assert alone / RUNS <= 0.70
    assert together / RUNS >= 0.80
    assert held / RUNS >= 0.93


def test_a_cell_that_is_missing_costs_its_own_ratio_alone():
    logs = drawn(random.Random(3), deviations=(0.0,) * 3)
    del logs[2][1], logs[0][2]
    found = Additive(logs)
    assert found.shared(1, 0) == [0, 1]
    assert found.difference(1, 0).mean == pytest.approx(0.05)
    assert found.difference(1, 0).degrees == 7 - 5
    assert found.gain(1, 0).blocks == pytest.approx([math.expm1(0.05)] * 2)


def test_cells_that_are_missing_leave_the_interval_right():
    rng = random.Random(4)
    held = 0
    for _ in range(RUNS):
        logs = drawn(rng)
        del logs[2][rng.randrange(3)], logs[0][rng.randrange(3)]
        low, high = Additive(logs).difference(1, 0).interval()
        held += low <= 0.05 <= high
    assert held / RUNS == pytest.approx(0.95, abs=0.025)


def test_one_block_has_a_difference_and_no_interval_whatever_the_others_scatter_by():
    logs = drawn(random.Random(5))
    for block in (1, 2):
        del logs[0][block]
    found = Additive(logs).difference(1, 0)
    assert found.mean == pytest.approx(logs[1][0] - logs[0][0])
    assert math.isnan(found.error) and math.isnan(found.interval()[0])
    assert not Additive(logs).gain(1, 0).has_interval


def test_arms_that_never_met_are_not_compared():
    found = Additive({0: {0: 1.0}, 1: {1: 2.0}})
    assert found.difference(1, 0) is None
    with pytest.raises(ValueError, match="no block has both arm 1 and arm 0"):
        found.gain(1, 0)


def test_a_pair_that_scatters_unlike_the_rest_keeps_its_own_ratios():
    wild = drawn(random.Random(6), deviations=(0.001, 0.001, 0.3), blocks=5)
    assert Additive(wild).difference(1, 0).degrees == 4
    like = drawn(random.Random(6), blocks=5)
    assert Additive(like).difference(1, 0).degrees == 8


def test_the_one_sided_bound_is_nearer_than_the_interval():
    found = Additive(drawn(random.Random(7))).difference(1, 0)
    assert found.interval()[0] < found.least() < found.mean
    assert found.mean - found.least() == pytest.approx(2.131847 * found.error)


def test_the_scatter_is_that_of_one_deployment():
    rng = random.Random(8)
    squares = [Additive(drawn(rng)).scatter[0] ** 2 for _ in range(RUNS)]
    assert math.sqrt(fmean(squares)) == pytest.approx(0.015, rel=0.08)
    assert Additive({0: {0: 1.0}, 1: {0: 2.0}}).scatter[1] == 0
