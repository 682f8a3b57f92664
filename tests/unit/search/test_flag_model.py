"""What flags are worth by all trials of a search together."""

from __future__ import annotations

import math
import random

import pytest

from tuner.search.flag_model import FEWEST, FlagModel
from tuner.search.history import Deployment, History, TrialRecord
from tuner.trial.objective import Goal
from tuner.trial.ports import Phase, Score, State

GOALS = (Goal("output_tokens_per_second", True),)
UNKNOWN = ((math.nan, math.nan),)


def worth(params) -> float:
    """Slots are worth 20 % a doubling, the mode 5 %, the batch nothing."""
    return 100 * 1.2 ** math.log2(params["slots"]) * (1.05 if params["mode"] == "fast" else 1.0)


@pytest.fixture
def fitted(experiment):
    """A model of a search over all 24 configurations; `trials` of them, in a drawn order."""

    def made(*, trials=24, noise=0.005, late=lambda params: False, seed=1, **more):
        space, rng = experiment().space, random.Random(seed)
        points = list(space.grid())
        rng.shuffle(points)
        history = History(GOALS)
        for number, params in enumerate(points[:trials]):
            value = worth(params) * math.exp(rng.gauss(0, noise))
            over = {"ttft_p95_ms": 0.5 if late(params) else -0.5}
            score = Score((value,), UNKNOWN, over, over, {})
            done = Deployment(number, Phase.SEARCH, 1, scores=[score] * 3, state=State.COMPLETE, seconds=30)
            history.add(TrialRecord(number, dict(params), [done]))
        return FlagModel(
            history, space, goals=GOALS, weights=(1.0,), slos=("ttft_p95_ms",), noise=noise, **more
        )

    return made


BEST = {"slots": 8, "batch": 128, "mode": "fast"}


def test_what_a_flag_is_worth_is_told_from_all_trials(fitted):
    model = fitted()
    slots = model.gain(BEST, {**BEST, "slots": 1})
    mode = model.gain(BEST, {**BEST, "mode": "safe"})
    batch = model.gain(BEST, {**BEST, "batch": 32})
    assert slots.low < 1.2**3 - 1 < slots.high and slots.low > 0.5
    assert mode.low < 0.05 < mode.high and mode.low > 0
    assert abs(batch.share) < 0.015


@pytest.mark.slow
def test_the_interval_holds_the_truth_nearly_always(fitted):
    held = 0
    for seed in range(8):
        gain = fitted(trials=14, seed=seed).gain(BEST, {**BEST, "mode": "safe"})
        held += gain.low <= 0.05 <= gain.high
    assert held >= 7


def test_of_several_flags_the_errors_are_taken_together(fitted):
    model = fitted(trials=12, noise=0.02)
    both = {**BEST, "slots": 1, "mode": "safe"}
    alike = model.gain(BEST, BEST)
    assert (alike.share, alike.low, alike.high) == pytest.approx((0, 0, 0), abs=1e-6)
    there, back = model.gain(BEST, both), model.gain(both, BEST)
    assert 1 + there.share == pytest.approx(1 / (1 + back.share))
    assert 1 + there.low == pytest.approx(1 / (1 + back.high))


def test_a_limit_that_a_configuration_is_expected_to_miss_is_told(fitted):
    model = fitted(late=lambda params: params["slots"] >= 4)
    assert not model.keeps_limits(BEST)
    assert model.keeps_limits({**BEST, "slots": 1})


def test_a_few_trials_say_nothing(fitted):
    assert fitted(trials=FEWEST).knows
    model = fitted(trials=FEWEST - 1)
    assert not model.knows
    assert math.isnan(model.gain(BEST, {**BEST, "slots": 1}).share)
    assert model.keeps_limits(BEST)
