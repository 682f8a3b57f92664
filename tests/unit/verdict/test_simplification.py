"""Flags that go back to the baseline: only where blocks show that little is lost."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import pytest

from tuner.verdict.flags import FlagWorth, Source, flags_told
from tuner.verdict.gain import Gain
from tuner.verdict.measured import Validated
from tuner.verdict.outcome import Outcome, Verdict
from tuner.verdict.simplification import power, simplified, smallest_margin, validation_scatter

WON = Verdict(
    Outcome.BETTER_TIED,
    baseline=0,
    winner=7,
    headline="Trial 7 is better.",
    gain=Gain(0.1, 0.08, 0.12, (0.1, 0.1)),
    gain_of=7,
    tied=(7, 4),
    blocks=(0, 1, 2),
)
RUNS = 600


def blocks(rng: random.Random, *, lost: float, gain=0.10, deviation=0.003, count=3) -> list[Validated]:
    """Of the baseline, trial 7, which gains, and trial 9, which loses that share of it."""
    found = []
    for block in range(3, 3 + count):
        common = rng.gauss(0, 0.05)
        for trial, true in ((0, 0.0), (7, math.log1p(gain)), (9, math.log1p(gain) + math.log1p(-lost))):
            value = 100 * math.exp(common + true + rng.gauss(0, deviation))
            found.append(Validated(trial, block, value, {"ttft_p95_ms": -0.1}))
    return found


def after(measured, *, margin=0.01, scatter=(0.003, 4), maximize=True) -> Verdict:
    return simplified(
        WON,
        measured,
        trial=9,
        back=("slots", "mode"),
        margin=margin,
        maximize=maximize,
        metric="output_tokens_per_second",
        merge=None,
        scatter=scatter,
    )


def test_what_loses_nothing_takes_the_winners_place_with_a_gain_of_its_own_blocks():
    found = after(blocks(random.Random(1), lost=0.0))
    assert (found.outcome, found.winner, found.gain_of, found.tied) == (Outcome.BETTER, 9, 9, ())
    assert found.blocks == (3, 4, 5)
    assert found.simplified.taken and found.simplified.most < 0.01
    assert found.gain.share == pytest.approx(0.10, abs=0.01)
    assert "Trial 9 is trial 7 with slots and mode back at the baseline's" in found.details[0]


def test_what_loses_more_than_the_margin_leaves_the_winner_as_it_was():
    found = after(blocks(random.Random(1), lost=0.03))
    assert (found.outcome, found.winner, found.gain, found.blocks) == (
        WON.outcome,
        7,
        WON.gain,
        WON.blocks,
    )
    assert not found.simplified.taken
    assert found.simplified.loss == pytest.approx(0.03, abs=0.01)
    assert "that it loses less than 1 % is not shown" in found.details[-1]


def test_no_difference_seen_is_not_enough_where_the_blocks_scatter():
    found = after(blocks(random.Random(2), lost=0.0, deviation=0.02), scatter=(0.02, 4))
    assert not found.simplified.taken


def test_what_costs_just_the_margin_takes_the_place_one_time_in_twenty():
    rng = random.Random(3)
    taken = sum(after(blocks(rng, lost=0.01)).simplified.taken for _ in range(RUNS))
    assert taken / RUNS == pytest.approx(0.05, abs=0.025)


def test_the_validations_scatter_makes_the_blocks_say_more():
    rng = random.Random(4)
    made = [blocks(rng, lost=0.0, deviation=0.005) for _ in range(200)]
    alone = sum(after(one, scatter=(math.nan, 0)).simplified.taken for one in made)
    together = sum(
        after(one, scatter=(0.005 * math.sqrt(rng.gammavariate(4, 0.25)), 8)).simplified.taken for one in made
    )
    assert together > alone + 10


def test_what_fails_misses_a_limit_or_is_no_better_than_the_baseline_takes_nobodys_place():
    good = blocks(random.Random(1), lost=0.0)
    failing = [
        Validated(9, 3, None, failure="crash: ended") if (o.trial, o.block) == (9, 3) else o for o in good
    ]
    late = [Validated(9, o.block, o.value, {"ttft_p95_ms": 0.2}) if o.trial == 9 else o for o in good]
    small = blocks(random.Random(1), lost=0.0, gain=0.001)
    for measured, why, is_out in [
        (failing, "its deployment in block 4 failed (crash: ended)", True),
        (late, "it misses ttft_p95_ms by 20.0 %", True),
        (small, "it is not shown to be better than the baseline", False),
        ([o for o in good if o.block == 3], "in fewer than two blocks", False),
        ([o for o in good if o.trial != 9], "in fewer than two blocks", True),
    ]:
        found = after(measured)
        assert found.winner == 7
        assert why in found.simplified.why_not
        assert (9 in found.out) == is_out


def test_less_is_better_where_the_objective_is_minimised():
    turned = [
        Validated(o.trial, o.block, 1e4 / o.value, o.violations) for o in blocks(random.Random(1), lost=0.03)
    ]
    found = after(turned, maximize=False)
    assert found.simplified.loss == pytest.approx(0.03, abs=0.01)
    assert not found.simplified.taken


def test_it_is_only_worth_trying_where_the_scatter_is_small_beside_the_margin():
    def of(deviation, *, margin=0.01, expected=0.0, blocks=3):
        return power(scatter=(deviation, 4), blocks=blocks, margin=margin, expected=expected)

    assert of(0.002) > 0.95 > of(0.005) > 0.5 > of(0.01)
    assert of(0.005, blocks=12) > of(0.005) > of(0.005, expected=0.005)
    assert power(scatter=(math.nan, 0), blocks=3, margin=0.01, expected=0) == 0
    for deviation in (0.002, 0.01, 0.03):
        margin = smallest_margin(scatter=(deviation, 4), blocks=3)
        assert of(deviation, margin=margin) == pytest.approx(0.5, abs=0.03)


def test_the_power_is_what_simulated_blocks_show():
    rng = random.Random(5)
    told = power(scatter=(0.004, 4000), blocks=3, margin=0.01, expected=0.003)
    taken = sum(
        after(blocks(rng, lost=0.003, deviation=0.004), scatter=(0.004, 4000)).simplified.taken
        for _ in range(RUNS)
    )
    assert taken / RUNS == pytest.approx(told, abs=0.05)


def test_the_scatter_of_the_validation_leaves_out_what_failed():
    good = blocks(random.Random(6), lost=0.0)
    assert validation_scatter(good, maximize=True)[1] == 4
    failing = [*good, Validated(9, 9, None, failure="crash: ended")]
    assert validation_scatter(failing, maximize=True)[1] == 2
    assert validation_scatter([], maximize=True)[1] == 0


WORTH = FlagWorth((("batch", 32, 64),), Gain(0.123, 0.08, 0.171), Source.MODEL)
NOTHING = FlagWorth((("mode", None, "b"),), Gain(0.001, -0.01, 0.012), Source.MODEL)


def test_flags_are_told_with_their_interval_and_what_told_them():
    first, second = flags_told([NOTHING, WORTH])
    assert "by the model of the search's trials" in first
    assert "batch 64 instead of 32: +12.3 % (+8.0 % to +17.1 %)" in first
    assert "mode b instead of the engine's default: +0.1 %" in second
    assert flags_told([]) == []


def test_a_verdict_with_flags_survives_json():
    for lost in (0.0, 0.03):
        found = replace(after(blocks(random.Random(1), lost=lost)), flags=(WORTH, NOTHING))
        assert Verdict.from_json(json.loads(json.dumps(found.to_json()))) == found
    unmeasured = after([])
    assert math.isnan(Verdict.from_json(json.loads(json.dumps(unmeasured.to_json()))).simplified.loss)
    earlier = {k: v for k, v in WON.to_json().items() if k not in ("flags", "simplified")}
    assert Verdict.from_json(earlier) == WON
