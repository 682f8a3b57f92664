"""The ratio of two independent groups: what its interval is worth, and where there is none."""

from __future__ import annotations

import math
import random

import pytest

from tuner.verdict.unpaired import Ratio, estimate, welch_ratio

RUNS = 4_000
FIRST = (101.0, 99.5, 103.2)
SECOND = (110.1, 118.0, 113.9, 109.2)


def simulated(rng: random.Random, count: int, *, median: float, scatter: float) -> list[float]:
    return [median * math.exp(rng.gauss(0, scatter)) for _ in range(count)]


@pytest.mark.parametrize("true", [1.0, 1.3])
@pytest.mark.parametrize(
    ("counts", "scatters"),
    [
        ((3, 3), (0.03, 0.03)),
        ((3, 3), (0.01, 0.08)),
        ((5, 3), (0.03, 0.03)),
        ((8, 3), (0.02, 0.10)),
        ((3, 8), (0.02, 0.10)),
    ],
)
def test_the_interval_holds_the_true_ratio_nineteen_times_in_twenty(
    counts: tuple[int, int], scatters: tuple[float, float], true: float
) -> None:
    rng = random.Random(f"{counts} {scatters} {true}")
    held = 0
    for _ in range(RUNS):
        a = simulated(rng, counts[0], median=700.0, scatter=scatters[0])
        b = simulated(rng, counts[1], median=700.0 * true, scatter=scatters[1])
        found = welch_ratio(a, b)
        held += found.low <= true <= found.high
    assert 0.93 <= held / RUNS <= 0.985


@pytest.mark.parametrize("scatters", [(0.03, 0.03), (0.10, 0.01), (0.01, 0.10)])
def test_with_two_deployments_on_a_side_it_is_still_near_its_promise(scatters: tuple[float, float]) -> None:
    rng = random.Random(f"two {scatters}")
    held = 0
    for _ in range(RUNS):
        found = welch_ratio(
            simulated(rng, 2, median=700.0, scatter=scatters[0]),
            simulated(rng, 3, median=700.0, scatter=scatters[1]),
        )
        held += found.low <= 1 <= found.high
    assert held / RUNS >= 0.90


def test_it_agrees_with_the_reference_implementation_on_logs() -> None:
    from scipy.stats import ttest_ind

    logs = [math.log(v) for v in FIRST], [math.log(v) for v in SECOND]
    expected = ttest_ind(logs[1], logs[0], equal_var=False).confidence_interval(0.95)
    found = welch_ratio(FIRST, SECOND)
    assert (found.low, found.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))
    assert found.low < found.ratio < found.high


def test_swapping_the_groups_inverts_the_ratio_and_its_interval() -> None:
    one, other = welch_ratio(FIRST, SECOND), welch_ratio(SECOND, FIRST)
    assert (other.ratio, other.low, other.high) == pytest.approx((1 / one.ratio, 1 / one.high, 1 / one.low))


def test_groups_are_told_apart_only_where_the_interval_excludes_one() -> None:
    assert welch_ratio(FIRST, SECOND).told_apart
    assert not welch_ratio(FIRST, (99.0, 104.0, 100.5)).told_apart


@pytest.mark.parametrize(("a", "b"), [([100.0], [101.0, 99.0]), ([100.0, 102.0], [101.0]), ([1.0], [2.0])])
def test_one_deployment_on_a_side_gives_a_ratio_without_an_interval(a: list[float], b: list[float]) -> None:
    found = welch_ratio(a, b)
    assert found.ratio > 0
    assert not found.has_interval
    assert not found.told_apart
    assert f"{len(a)} and {len(b)} deployments" in found.why


def test_values_that_do_not_scatter_are_not_called_certain() -> None:
    found = welch_ratio([100.0, 100.0], [120.0, 120.0])
    assert found.ratio == pytest.approx(1.2)
    assert not found.told_apart
    assert "no scatter" in found.why


def test_a_group_that_does_not_scatter_beside_one_that_does_has_an_interval() -> None:
    assert welch_ratio([100.0, 100.0], [100.0, 120.0, 110.0]).has_interval


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        ([], [1.0, 2.0], "not measured in both"),
        ([0.0, 0.0], [0.0, 0.0], "the same throughout"),
        ([0.0, 0.1], [0.2, 0.1], "values above 0"),
        ([1.0, math.inf], [1.0, 2.0], "values above 0"),
    ],
)
def test_where_there_is_no_ratio_it_says_why(a: list[float], b: list[float], why: str) -> None:
    found = welch_ratio(a, b)
    assert math.isnan(found.ratio)
    assert why in found.why
    assert found.to_json()["told_apart"] is None


def test_json_says_whether_they_are_told_apart() -> None:
    assert Ratio(1.2, 1.1, 1.3).to_json() == {
        "ratio": 1.2,
        "low": 1.1,
        "high": 1.3,
        "told_apart": True,
        "why_no_interval": "",
    }


def test_an_estimate_is_the_geometric_mean_with_an_interval_that_is_even_in_ratio() -> None:
    found = estimate([100.0, 400.0, 200.0])
    assert found.value == pytest.approx(200.0)
    assert found.high / found.value == pytest.approx(found.value / found.low)
    assert found.deployments == 3


def test_an_estimate_of_shares_that_may_be_zero_is_the_plain_mean() -> None:
    assert estimate([0.0, 0.02]).value == pytest.approx(0.01)


@pytest.mark.parametrize("values", [[], [5.0], [5.0, 5.0]])
def test_an_estimate_without_scatter_has_no_interval(values: list[float]) -> None:
    found = estimate(values)
    assert not found.has_interval
    assert found.deployments == len(values)
