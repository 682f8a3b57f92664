"""How high a percentile may truly lie: the upper bound that an order statistic gives. Pure.

Of n independent requests the number that lie below the true q-quantile is binomial (n, q), whatever their
distribution. So the k-th smallest is at or above it with probability P(Bin(n, q) <= k - 1), and the
smallest k for which that is 95 % is a one-sided 95 % bound (W. J. Conover, "Practical Nonparametric
Statistics", 3rd edition, 1999, section 3.2). With q^n above 5 % even the largest is none: 59 requests are
the fewest that bound a p95, 299 a p99.

Requests that queue behind one another, gaps of one decoding step, rounds of one start of an engine hang
together. So the share of each round that lies above the estimated quantile is looked at: where the rounds'
shares scatter more than a binomial's would, by a factor d (the design effect; J. N. K. Rao and A. J. Scott,
"A simple method for the analysis of clustered binary data", Biometrics 48, 1992, pages 577-585), the n
requests count for n / d.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from tuner.spec.percentiles import CONFIDENCE, fewest

_NORMAL_95 = 1.644854
_EXACT_UP_TO = 5000  # observations; beyond, the normal approximation gives a rank one or two too high


@lru_cache(maxsize=4096)
def bound_rank(count: int, quantile: float) -> int | None:
    """The 1-based rank of the smallest order statistic that bounds `quantile`; None with too few."""
    if count < fewest(quantile):
        return None
    if count > _EXACT_UP_TO:
        spread = _NORMAL_95 * math.sqrt(count * quantile * (1 - quantile))
        return min(count, math.ceil(count * quantile + spread) + 1)
    allowed = 1 - CONFIDENCE
    log_odds = math.log(1 - quantile) - math.log(quantile)
    log_mass, tail, rank = count * math.log(quantile), 0.0, count
    while True:  # the tail P(Bin >= rank) grows as the rank falls; the last that is rare enough bounds
        tail += math.exp(log_mass)
        if tail > allowed or rank == 0:
            return rank + 1
        log_mass += math.log(rank) - math.log(count - rank + 1) + log_odds
        rank -= 1


def design_effect(rounds: Sequence[tuple[int, int]]) -> float:
    """By what factor (>= 1) the rounds' shares scatter more than a binomial's.

    Args:
        rounds: (requests, those of them above the estimated quantile) of each.
    """
    groups = [(n, above) for n, above in rounds if n]
    count, above = sum(n for n, _ in groups), sum(a for _, a in groups)
    if len(groups) < 2 or not 0 < above < count:
        return 1.0
    share = above / count
    scatter = sum((a - share * n) ** 2 for n, a in groups) * len(groups) / (len(groups) - 1)
    return max(1.0, scatter / (count * share * (1 - share)))


def clustered_rank(count: int, quantile: float, effect: float) -> int | None:
    """As `bound_rank` of requests that hang together by a design effect: never above the largest.

    However much they hang together, as many as an independent sample takes at least leave the largest.
    """
    least = fewest(quantile)
    if count < least:
        return None
    independent = max(least, math.floor(count / effect))
    rank = bound_rank(independent, quantile)
    return None if rank is None else math.ceil(rank * count / independent)
