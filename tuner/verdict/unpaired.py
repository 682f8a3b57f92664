"""Two runs' values of one metric, set side by side: their ratio with its interval, without pairs.

Two runs share no blocks: a deployment of one has no partner in the other, so what the machine did at the
time does not leave with the ratio as it does in `tuner.verdict.gain`. The deployment is the unit again.
What lies between the runs (another day, another load on the nodes) is not in the interval: it covers the
scatter from deployment to deployment, and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tuner.verdict.gain import CONFIDENCE, mean_interval


@dataclass(frozen=True, slots=True)
class Estimate:
    """One group's value over its deployments, in the metric's unit.

    Attributes:
        value: the geometric mean, or the arithmetic one where a value is not positive; NaN where there is
            no deployment.
        low: the 95 % interval's lower end; NaN below two deployments, and where all values are the same.
        high: its upper end; NaN as `low`.
        deployments: how many it rests on.
    """

    value: float
    low: float
    high: float
    deployments: int

    @property
    def has_interval(self) -> bool:
        """Whether there was enough scatter seen for an interval."""
        return not math.isnan(self.low)

    def to_json(self) -> dict[str, Any]:
        """A JSON object; what cannot be told is NaN (`tuner.results.plain_json` makes it null)."""
        return {"value": self.value, "low": self.low, "high": self.high, "deployments": self.deployments}


@dataclass(frozen=True, slots=True)
class Ratio:
    """The second group's value over the first's; 1.05 is 5 % higher.

    Attributes:
        ratio: of the geometric means; NaN where there is none.
        low: the interval's lower end; NaN where there is no interval.
        high: the interval's upper end; NaN as `low`.
        why: a few words on why there is no interval; "" where there is one.
    """

    ratio: float
    low: float = math.nan
    high: float = math.nan
    why: str = ""

    @property
    def has_interval(self) -> bool:
        """Whether the ratio can be said with an interval."""
        return not math.isnan(self.low)

    @property
    def told_apart(self) -> bool:
        """Whether the interval excludes 1; False where there is none."""
        return self.low > 1 or self.high < 1

    def to_json(self) -> dict[str, Any]:
        """A JSON object; what cannot be told is NaN (`tuner.results.plain_json` makes it null)."""
        return {
            "ratio": self.ratio,
            "low": self.low,
            "high": self.high,
            "told_apart": self.told_apart if self.has_interval else None,
            "why_no_interval": self.why,
        }


def estimate(values: Sequence[float], *, confidence: float = CONFIDENCE) -> Estimate:
    """The value of one group of deployments, with the interval of its own scatter (on logs)."""
    if not values:
        return Estimate(math.nan, math.nan, math.nan, 0)
    geometric = all(0 < v < math.inf for v in values)
    mean, low, high = mean_interval([math.log(v) if geometric else v for v in values], confidence=confidence)
    if len(set(values)) == 1:
        return Estimate(values[0], math.nan, math.nan, len(values))
    if geometric:
        mean, low, high = math.exp(mean), math.exp(low), math.exp(high)
    return Estimate(mean, low, high, len(values))


def welch_ratio(first: Sequence[float], second: Sequence[float], *, confidence: float = CONFIDENCE) -> Ratio:
    """The ratio second / first of two independent groups, one value a deployment.

    Welch's t on the logs, taken back by exp: the groups may scatter differently and differ in number. With
    s² the variance of a group's n logs and e = s²/n, the half width is t(ν) · √(e₁ + e₂) with
    ν = (e₁ + e₂)² / (e₁²/(n₁-1) + e₂²/(n₂-1)) (B. L. Welch, Biometrika 34, 1947, pages 28-35, with the
    degrees of freedom as in F. E. Satterthwaite, Biometrics Bulletin 2, 1946, pages 110-114). Logs,
    because a ratio and its inverse must be equally far from 1.

    The interval is an approximation: simulated, it holds the truth 94 to 97 times in 100 from three
    deployments a side on, and down to 92 times where a side of two scatters much more than the other.

    There is no interval where a group has fewer than two deployments (its scatter is not known), nor
    where neither group scatters at all (figures as coarse as this would seem certain). There is no ratio
    where a group is empty or holds a value that is not positive and finite.
    """
    if not first or not second:
        return Ratio(math.nan, why="not measured in both")
    if not all(0 < v < math.inf for v in (*first, *second)):
        same = len({*first, *second}) == 1
        return Ratio(math.nan, why="the same throughout" if same else "a ratio takes values above 0")
    x, y = [math.log(v) for v in first], [math.log(v) for v in second]
    difference = math.fsum(y) / len(y) - math.fsum(x) / len(x)
    if min(len(x), len(y)) < 2:
        found = f"{len(x)} and {len(y)} deployments, and an interval takes two on each side"
        return Ratio(math.exp(difference), why=found)
    if len(set(first)) == 1 and len(set(second)) == 1:
        return Ratio(math.exp(difference), why="no scatter seen on either side")
    half = _half_width(_Spread.of(x), _Spread.of(y), confidence)
    return Ratio(math.exp(difference), math.exp(difference - half), math.exp(difference + half))


@dataclass(frozen=True, slots=True)
class _Spread:
    """The squared standard error of a group's mean, and its degrees of freedom."""

    error: float
    degrees: int

    @classmethod
    def of(cls, logs: Sequence[float]) -> _Spread:
        mean, degrees = math.fsum(logs) / len(logs), len(logs) - 1
        return cls(math.fsum((v - mean) ** 2 for v in logs) / degrees / len(logs), degrees)


def _half_width(one: _Spread, other: _Spread, confidence: float) -> float:
    from scipy.special import stdtrit  # noqa: PLC0415  scipy.stats would cost a second of every start

    both = one.error + other.error
    degrees = both**2 / (one.error**2 / one.degrees + other.error**2 / other.degrees)
    return float(stdtrit(degrees, (1 + confidence) / 2)) * math.sqrt(both)
