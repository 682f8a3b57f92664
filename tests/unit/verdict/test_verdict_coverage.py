"""What the verdict's figures are worth, over simulated validations of which the truth is known."""

from __future__ import annotations

import math
import random

import pytest

from tuner.verdict.decide import decide
from tuner.verdict.measured import Candidate, Validated
from tuner.verdict.outcome import Outcome, Verdict

RUNS = 1_200
BETTER = (Outcome.BETTER, Outcome.BETTER_TIED)


def validation(rng: random.Random, effects: list[float], *, blocks: int) -> Verdict:
    """Log-normal: 10 % between blocks, common to a block; 3 % between deployments."""
    measured = []
    for block in range(blocks):
        common = rng.gauss(0, 0.10)
        for trial, effect in enumerate([0.0, *effects]):
            value = 100 * math.exp(effect + common + rng.gauss(0, 0.03))
            measured.append(Validated(trial, block, value, {"ttft_p95_ms": -0.1}))
    candidates = [Candidate(1 + i, distance=float(i), rank=rng.randrange(9)) for i in range(len(effects))]
    return decide(measured, candidates, maximize=True)


@pytest.mark.parametrize("blocks", [2, 3, 5])
@pytest.mark.parametrize("candidates", [1, 2, 3])
def test_a_flat_surface_is_called_better_at_most_one_time_in_twenty(candidates: int, blocks: int) -> None:
    rng = random.Random(candidates * 100 + blocks)
    found = [validation(rng, [0.0] * candidates, blocks=blocks).outcome in BETTER for _ in range(RUNS)]
    assert sum(found) / RUNS <= 0.05


@pytest.mark.parametrize("true", [0.0, 0.05, 0.30])
@pytest.mark.parametrize("candidates", [2, 3])
def test_the_interval_holds_the_truth_after_a_selection_among_equals(candidates: int, true: float) -> None:
    rng = random.Random(7)
    held = 0
    for _ in range(RUNS):
        gain = validation(rng, [true] * candidates, blocks=3).gain
        assert gain is not None
        held += gain.low <= math.expm1(true) <= gain.high
    assert held / RUNS >= 0.93


def test_a_large_gain_is_found_and_the_better_candidate_is_the_winner() -> None:
    rng = random.Random(3)
    found = [validation(rng, [0.10, 0.40], blocks=3) for _ in range(300)]
    assert sum(v.outcome in BETTER for v in found) >= 290
    assert sum(v.winner == 2 for v in found) >= 240
