from __future__ import annotations

import math
import subprocess
import sys

import pytest

from tuner.verdict.additive import Additive
from tuner.verdict.gain import Gain, mean_interval, student_quantile


def paired_gain(blocks: list[tuple[float, float]]) -> Gain:
    """Of (candidate, baseline), one pair a block."""
    logs = {arm: {b: math.log(pair[1 - arm]) for b, pair in enumerate(blocks)} for arm in (0, 1)}
    return Additive(logs).gain(1, 0)


def test_the_interval_is_students_over_the_log_ratios() -> None:
    gain = paired_gain([(110, 100), (121, 100), (133.1, 100)])
    step, half = math.log(1.1), 4.302652729749464 * math.log(1.1) / math.sqrt(3)  # t(0.975, 2)
    assert gain.share == pytest.approx(math.expm1(2 * step))
    assert gain.low == pytest.approx(math.expm1(2 * step - half))
    assert gain.high == pytest.approx(math.expm1(2 * step + half))
    assert gain.blocks == pytest.approx((0.1, 0.21, 0.331))


def test_what_slows_a_whole_block_leaves_with_the_ratio() -> None:
    quiet, shared_slowdown = [(110, 100), (112, 100)], [(55, 50), (112, 100)]
    assert paired_gain(quiet).blocks == pytest.approx(paired_gain(shared_slowdown).blocks)


def test_a_gain_and_its_inverse_are_equally_far_from_none() -> None:
    there, back = paired_gain([(120, 100), (125, 100)]), paired_gain([(100, 120), (100, 125)])
    assert (1 + there.low) * (1 + back.high) == pytest.approx(1)


def test_one_block_gives_an_estimate_and_no_interval() -> None:
    gain = paired_gain([(110, 100)])
    assert gain.share == pytest.approx(0.1)
    assert not gain.has_interval
    assert Gain.from_json(gain.to_json()).to_json() == gain.to_json()


def test_no_observations_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        mean_interval([])


@pytest.mark.parametrize(("df", "value"), [(1, 12.7062), (2, 4.3027), (4, 2.7764), (30, 2.0423)])
def test_quantiles_are_those_of_the_tables(df: int, value: float) -> None:
    assert student_quantile(0.975, df) == pytest.approx(value, abs=5e-5)


def test_importing_the_verdict_does_not_import_scipy() -> None:
    code = "import sys, tuner.verdict.decide; sys.exit('scipy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
