"""Shares with their intervals, and the smallest gain that blocks of a given scatter can show."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import binomtest, nct, t


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `of`, with Wilson's 95 % interval: it stays within 0 and 1 and holds for shares near them.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 22, 1927, pages 209-212.
    """

    hits: int
    of: int

    @property
    def value(self) -> float:
        """NaN of none."""
        return self.hits / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """(low, high); all there is of none."""
        if not self.of:
            return 0.0, 1.0
        low, high = binomtest(self.hits, self.of).proportion_ci(0.95, "wilson")
        return float(low), float(high)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.1%} [{low:.1%} {high:.1%}]" if self.of else "-"


def power_of(gain: float, deviation: float, blocks: int) -> float:
    """The probability that a paired t test of one known candidate shows a true gain.

    With d = log(1 + gain) the statistic follows a noncentral t of blocks - 1 degrees of freedom and the
    noncentrality d √blocks / deviation (N. L. Johnson and B. L. Welch, "Applications of the non-central
    t-distribution", Biometrika 31, 1940, pages 362-389); shown is a 95 % interval wholly above 0.

    Args:
        deviation: of the log ratios of the blocks.
    """
    if not deviation:
        return 1.0
    needed = t.ppf(0.975, blocks - 1)
    return float(nct.sf(needed, blocks - 1, math.log1p(gain) * math.sqrt(blocks) / deviation))


def smallest_gain(deviation: float, blocks: int, *, power: float = 0.8) -> float:
    """The gain that is shown with that probability; found by bisection to 0.01 %."""
    low, high = 0.0, 1.0
    while power_of(high, deviation, blocks) < power and high < 64:
        high *= 2
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if power_of(middle, deviation, blocks) < power else (low, middle)
    return high
