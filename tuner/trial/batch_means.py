"""Whether the parts of a window are independent enough for an interval from their means. Pure.

Law and Kelton, "Simulation Modeling and Analysis": batch means take the parts for independent. With a
correlation r from each part to the next the variance of their mean is (1 + r) / (1 - r) times as large as
they show (exactly so for a first-order autoregression), and an interval that does not know it is too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

FEWEST_PARTS = 4
_STRONGEST = 0.9  # the widening has a pole at 1


def lag1(parts: Sequence[float]) -> float | None:
    """The correlation of each part with the one before it; None for fewer than 4 parts, or equal ones."""
    n = len(parts)
    if n < FEWEST_PARTS:
        return None
    mean = math.fsum(parts) / n
    apart = [p - mean for p in parts]
    spread = math.fsum(a * a for a in apart)
    if spread <= 1e-12 * n * mean * mean:
        return None
    return math.fsum(a * b for a, b in pairwise(apart)) / spread


def hang_together(correlation: float | None, parts: int) -> bool:
    """Whether a lag-1 correlation is above what independent parts show in 39 of 40 cases (Bartlett)."""
    return correlation is not None and correlation > 1.96 / math.sqrt(parts)


def widening(parts: Sequence[float]) -> float:
    """The factor (>= 1) by which the interval of the parts' mean is wider than independent ones would say."""
    correlation = lag1(parts)
    if correlation is None or not hang_together(correlation, len(parts)):
        return 1.0
    bounded = min(correlation, _STRONGEST)
    return math.sqrt((1 + bounded) / (1 - bounded))
