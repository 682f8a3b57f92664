"""What a validation can see, judged by the baseline against itself."""

from __future__ import annotations

import math
import random
from statistics import median

import pytest
from scipy.stats import nct, t

from tuner.verdict.noise_floor import Design, floor_of, power_of, scatter_of, seen_in, smallest_gain


def drawn(rng, deployments, rounds, *, between=0.0, each=0.02):
    found = []
    for _ in range(deployments):
        start = rng.gauss(0, between)
        found.append([start + rng.gauss(0, each) for _ in range(rounds)])
    return found


def test_the_power_is_that_of_the_noncentral_t():
    shift = math.log1p(0.05) * math.sqrt(3 / 2) / 0.02
    assert power_of(0.05, 0.02, 3, 3) == pytest.approx(float(nct.sf(t.ppf(0.975, 4), 4, shift)), abs=1e-6)
    assert power_of(0.05, 0.0, 3) == 1.0


def test_the_smallest_gain_is_shown_in_80_of_100():
    for blocks, arms in ((2, 2), (3, 3), (8, 2), (20, 4)):
        assert power_of(smallest_gain(0.02, blocks, arms), 0.02, blocks, arms) == pytest.approx(0.8, abs=1e-4)


def test_more_blocks_and_more_arms_see_less_and_one_block_sees_nothing():
    assert smallest_gain(0.02, 3, 3) < smallest_gain(0.02, 3, 2)
    assert smallest_gain(0.02, 6, 2) < smallest_gain(0.02, 3, 2)
    assert smallest_gain(0.02, 1, 3) == math.inf


def test_blocks_drawn_with_the_smallest_gain_show_it_in_80_of_100():
    rng, shown, deviation = random.Random(5), 0, 0.02
    gain = math.log1p(smallest_gain(deviation, 4))
    for _ in range(2000):
        differences = [gain + rng.gauss(0, deviation) - rng.gauss(0, deviation) for _ in range(4)]
        mean = sum(differences) / 4
        error = math.sqrt(sum((d - mean) ** 2 for d in differences) / 3 / 4)
        shown += mean - 3.182 * error > 0
    assert shown / 2000 == pytest.approx(0.8, abs=0.03)


def test_one_deployment_tells_its_rounds_and_not_what_lies_between_starts():
    found = scatter_of([[0.01, -0.01, 0.01, -0.01]])
    assert found.round == pytest.approx(0.01155, abs=1e-4)
    assert not found.between_known
    assert found.of_deployment(4) == pytest.approx(found.round / 2)


def test_one_round_of_one_deployment_tells_nothing():
    assert scatter_of([[0.1]]) is None
    assert scatter_of([]) is None


def test_several_deployments_tell_both_parts():
    rng = random.Random(2)
    found = scatter_of(drawn(rng, 400, 4, between=0.03, each=0.02))
    assert found.round == pytest.approx(0.02, rel=0.05)
    assert found.between == pytest.approx(0.03, rel=0.1)
    assert found.of_deployment(4) == pytest.approx(math.hypot(0.03, 0.01), rel=0.1)


def test_what_drifts_slowly_is_no_scatter_of_starts():
    rng, found = random.Random(12), []
    for _ in range(200):
        at = [60.0 * i + rng.uniform(-20, 20) for i in range(8)]
        trend = [math.sin(t / 200) * 0.2 for t in at]
        groups = [
            [a + v for v in g] for a, g in zip(trend, drawn(rng, 8, 4, between=0.02, each=0.01), strict=True)
        ]
        found.append(scatter_of(groups, at=at).between ** 2)
        assert scatter_of(groups).between > 0.05
    assert math.sqrt(sum(found) / len(found)) == pytest.approx(0.02, rel=0.15)


def test_deployments_that_differ_by_no_more_than_their_rounds_are_pooled():
    found = scatter_of([[0.02, -0.02], [0.021, -0.021], [0.019, -0.019]])
    assert (found.between, found.degrees) == (0.0, 5)


def test_the_interval_of_the_scatter_holds_it_in_80_of_100():
    rng, held = random.Random(4), 0
    for _ in range(1500):
        found = scatter_of(drawn(rng, 1, 4))
        low, high = found.factors
        held += found.round * low <= 0.02 <= found.round * high
    assert held / 1500 == pytest.approx(0.8, abs=0.03)


def test_single_values_of_deployments_stand_for_themselves():
    found = scatter_of([[0.0], [0.02], [-0.02]])
    assert (found.round, found.between, found.degrees) == pytest.approx((0.0, 0.02, 2))


def test_rounds_that_hang_together_are_taken_to_scatter_more():
    walk = [math.sin(i / 6) * 0.02 for i in range(40)]
    shuffled = random.Random(0).sample(walk, len(walk))
    assert scatter_of([walk]).round > 1.5 * scatter_of([shuffled]).round


def test_half_of_the_floor_is_priced_in_the_cheapest_design_that_shows_it():
    known = scatter_of(drawn(random.Random(9), 40, 4, between=0.001, each=0.04))
    design = Design(arms=3, blocks=3, rounds=4, round_seconds=10.0, other_seconds=300.0, accelerators=2.0)
    found = floor_of(known, design)
    assert found.low < found.gain < found.high
    assert found.finer <= found.gain / 2
    finer = found.finer_design
    assert finer.floor(known.of_deployment(finer.rounds)) <= found.finer
    assert finer.rounds > 4  # deploying is dear and the rounds are what scatters
    more_blocks = Design(3, 16, 4, 10.0, 300.0, 2.0)
    assert finer.accelerator_hours < more_blocks.accelerator_hours


def test_as_long_as_starts_were_not_compared_only_more_of_them_are_proposed():
    found = floor_of(scatter_of([[0.04, -0.04, 0.03, -0.03]]), Design(3, 3, 4, 10.0, 300.0, 1.0))
    assert found.finer_design.rounds == 4 and found.finer_design.blocks > 3


def test_a_floor_below_one_per_cent_asks_for_no_finer_one():
    found = floor_of(scatter_of([[1e-4, -1e-4, 1e-4]]), Design(3, 3, 4))
    assert (found.finer, found.finer_design) == (0.0, None)


def test_what_an_interval_lets_be_seen_is_the_floor_of_the_scatter_that_made_it():
    error = 0.02 * math.sqrt(2 / 5)  # of five blocks of three arms, a deployment scattering by 2 %
    half = float(t.ppf(0.975, 8)) * error
    ends = math.expm1(0.01 - half), math.expm1(0.01 + half)
    assert seen_in(*ends, 8) == pytest.approx(smallest_gain(0.02, 5, 3), rel=1e-4)
    assert seen_in(-0.1, 0.1, 0) == math.inf


def test_the_floor_of_an_estimate_is_right_on_the_median():
    rng, found = random.Random(8), []
    for _ in range(400):
        found.append(floor_of(scatter_of(drawn(rng, 1, 4)), Design(3, 3, 4)).gain)
    assert median(found) == pytest.approx(smallest_gain(0.01, 3, 3), rel=0.2)
