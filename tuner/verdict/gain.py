"""The gain of one configuration over another from paired blocks, with its interval.

A block is one deployment of each configuration, close together in time. What the machine did at that
time is common to the block and leaves with the ratio; what one start of an engine got by chance (memory
layout, neighbours, a cold cache) differs from deployment to deployment, so the deployment is the unit
of the interval: rounds of one deployment share that chance and would make the interval too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Gain:
    """By what share one configuration is better than another; 0.25 is 25 % better, -0.1 10 % worse.

    Attributes:
        share: the estimate, from the geometric mean of the blocks' ratios.
        low: the interval's lower end; NaN with fewer than two blocks.
        high: the interval's upper end; NaN with fewer than two blocks.
        blocks: the gain in each block, in the order given.
    """

    share: float
    low: float
    high: float
    blocks: tuple[float, ...] = ()

    @property
    def has_interval(self) -> bool:
        """Whether there were enough blocks for an interval."""
        return not math.isnan(self.low)

    def to_json(self) -> dict[str, Any]:
        """A JSON object; what cannot be told is null."""
        low, high = (self.low, self.high) if self.has_interval else (None, None)
        return {"share": self.share, "low": low, "high": high, "blocks": list(self.blocks)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Gain:
        """What `to_json` wrote."""
        low, high = (math.nan if stored[end] is None else float(stored[end]) for end in ("low", "high"))
        return cls(float(stored["share"]), low, high, tuple(stored["blocks"]))


@lru_cache(maxsize=256)
def student_quantile(probability: float, degrees_of_freedom: int) -> float:
    """Student's t: the value that a share `probability` of the distribution lies below."""
    from scipy.special import stdtrit  # noqa: PLC0415  scipy.stats would cost a second of every start

    return float(stdtrit(degrees_of_freedom, probability))


def mean_interval(values: Sequence[float], *, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """(mean, low, high) of independent observations, by Student's t; low and high NaN below two of them.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("an interval takes at least one observation")
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return mean, math.nan, math.nan
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (count - 1))
    half = student_quantile((1 + confidence) / 2, count - 1) * deviation / math.sqrt(count)
    return mean, mean - half, mean + half
