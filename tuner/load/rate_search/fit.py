"""A curve through the shares of late requests, and where it crosses the share that may be late.

logit(share) = a + b ln(rate / middle), fitted by quasi-likelihood: requests of one queue are late together,
so their scatter is a multiple of the binomial one, which is estimated from the probes (McCullagh and Nelder,
"Generalized Linear Models", ch. 4 and 9). The interval of the crossing is Fieller's: all rates at which
the curve cannot be told from the allowed share ("Some problems in interval estimation", JRSS B 16, 1954).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tuner.load.rate_search.probe import Share
from tuner.trial.student_t import t_975

_STEPS = 50
_CLOSE = 1e-9
_LARGEST_LOGIT = 30.0
# Pseudo-requests per probe at the allowed share: keep the curve finite where shares are 0 or 1.
_PRIOR = 1.0
# A burst of late requests is rare and large, so few probes mostly see less scatter than there is. The
# simulations of tests/unit/load/test_rate_search.py give this much: a share more, shrinking with the probes.
_CAUTION = 12.0
# The least that the odds of being late rise with the load: in proportion. A request that finds a place taken
# is late; of M/M/K's share C(rate) exp(-(capacity - rate) t) the logarithm's slope is above 1 everywhere.
LEAST_SLOPE = 1.0
_SLOPES = tuple(LEAST_SLOPE * 2.0**k for k in range(8))  # 1 to 128: a cliff
_PLACES = 61  # candidates for the crossing, over a factor of 9 about the probes
_REACH = math.log(3.0)


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where the curve crosses the allowed share.

    Attributes:
        rate: requests per second; NaN where the curve does not rise.
        low, high: the 95 % interval; (0, inf) where the probes do not tell.
        slope: of the logit against ln(rate).
        allowed: the share.
    """

    rate: float
    low: float
    high: float
    slope: float
    allowed: float

    @property
    def rises(self) -> bool:
        """Whether it is sure that more load makes more requests late, and so where the curve crosses."""
        return self.low > 0 and not math.isinf(self.high)

    def share_at(self, rate: float) -> float:
        """The share that the curve expects to be late at `rate`."""
        if math.isnan(self.rate):
            return math.nan
        return _logistic(_logit(self.allowed) + self.slope * math.log(rate / self.rate))


def crossing(rates: Sequence[float], shares: Sequence[Share]) -> Crossing:
    """Fit the curve through at least 3 probes of one SLO and find its crossing."""
    allowed = shares[0].allowed
    unknown = Crossing(math.nan, 0.0, math.inf, 0.0, allowed)
    if len(rates) < 3 or len(set(rates)) < 2:
        return unknown
    middle = math.exp(math.fsum(map(math.log, rates)) / len(rates))
    x = [math.log(r / middle) for r in rates]
    n = [s.of + _PRIOR for s in shares]
    k = [s.late + _PRIOR * allowed for s in shares]
    a, b, (v_aa, v_ab, v_bb) = _fit(x, k, n)
    if b <= 0:
        return unknown
    scatter = _scatter(x, k, n, a, b)
    z = t_975(len(x) - 2) ** 2 * scatter
    target = a - _logit(allowed)
    # (target + b x)^2 <= z (v_aa + 2 x v_ab + x^2 v_bb)
    square, linear, constant = b * b - z * v_bb, target * b - z * v_ab, target * target - z * v_aa
    at = middle * math.exp(-target / b)
    inside = linear * linear - square * constant
    if square <= 0 or inside < 0:
        return Crossing(at, 0.0, math.inf, b, allowed)
    low, high = ((-linear + sign * math.sqrt(inside)) / square for sign in (-1, 1))
    return Crossing(at, middle * math.exp(max(low, -50)), middle * math.exp(min(high, 50)), b, allowed)


def bounded_crossing(rates: Sequence[float], shares: Sequence[Share]) -> Crossing:
    """The crossing where few probes do not tell the slope: all that is sure of it is LEAST_SLOPE.

    The interval holds every crossing from which some curve at least so steep passes the probes no worse than
    their scatter lets it: a profile quasi-likelihood. It errs to be wide; an end beyond a factor of 3 of all
    probes is not known.
    """
    allowed = shares[0].allowed
    if len(rates) < 3:
        return Crossing(math.nan, 0.0, math.inf, 0.0, allowed)
    low, high = math.log(min(rates)) - _REACH, math.log(max(rates)) + _REACH
    places = [low + (high - low) * i / (_PLACES - 1) for i in range(_PLACES)]
    x, n = [math.log(r) for r in rates], [s.of + _PRIOR for s in shares]
    k = [s.late + _PRIOR * allowed for s in shares]
    start = _logit(allowed)
    best = [max((_log_likelihood(x, k, n, start - b * at, b), b) for b in _SLOPES) for at in places]
    top = max(range(_PLACES), key=lambda i: best[i][0])
    slope, freedom = best[top][1], max(1, len(x) - 2)
    pearson = _pearson(x, k, n, start - slope * places[top], slope) / freedom
    reach = t_975(freedom) ** 2 * (1 + _CAUTION / freedom) * max(1.0, pearson) / 2
    within = [i for i in range(_PLACES) if best[top][0] - best[i][0] <= reach]
    ends = [math.exp(places[max(0, within[0] - 1)]), math.exp(places[min(_PLACES - 1, within[-1] + 1)])]
    if within[0] == 0:
        ends[0] = 0.0
    if within[-1] == _PLACES - 1:
        ends[1] = math.inf
    return Crossing(math.exp(places[top]), ends[0], ends[1], slope, allowed)


def _fit(
    x: Sequence[float], k: Sequence[float], n: Sequence[float]
) -> tuple[float, float, tuple[float, float, float]]:
    """(a, b, covariance of both at a binomial scatter), by Newton's steps, halved where they do not climb."""
    a, b = _logit(math.fsum(k) / math.fsum(n)), 1.0
    best = _log_likelihood(x, k, n, a, b)
    covariance = (math.inf, 0.0, math.inf)
    for _ in range(_STEPS):
        p = [_logistic(a + b * xi) for xi in x]
        w = [max(ni * pi * (1 - pi), 1e-12) for ni, pi in zip(n, p, strict=True)]
        rest = [ki - ni * pi for ki, ni, pi in zip(k, n, p, strict=True)]
        s0, s1, s2 = (math.fsum(wi * xi**e for wi, xi in zip(w, x, strict=True)) for e in (0, 1, 2))
        g0, g1 = math.fsum(rest), math.fsum(r * xi for r, xi in zip(rest, x, strict=True))
        determinant = max(s0 * s2 - s1 * s1, 1e-12)
        covariance = (s2 / determinant, -s1 / determinant, s0 / determinant)
        step_a, step_b = (s2 * g0 - s1 * g1) / determinant, (s0 * g1 - s1 * g0) / determinant
        size = 1.0
        while size > 1e-6:
            found = _log_likelihood(x, k, n, a + size * step_a, b + size * step_b)
            if found >= best:
                break
            size /= 2
        else:
            break
        a, b, gained, best = a + size * step_a, b + size * step_b, found - best, found
        if gained < _CLOSE:
            break
    return a, b, covariance


def _scatter(x: Sequence[float], k: Sequence[float], n: Sequence[float], a: float, b: float) -> float:
    """The scatter of the probes as a multiple of the binomial one, at least 1 (Pearson's statistic)."""
    freedom = len(x) - 2
    return max(1.0, (1 + _CAUTION / freedom) * _pearson(x, k, n, a, b) / freedom)


def _pearson(x: Sequence[float], k: Sequence[float], n: Sequence[float], a: float, b: float) -> float:
    total = 0.0
    for xi, ki, ni in zip(x, k, n, strict=True):
        p = _logistic(a + b * xi)
        total += (ki - ni * p) ** 2 / max(ni * p * (1 - p), 0.25)
    return total


def _log_likelihood(x: Sequence[float], k: Sequence[float], n: Sequence[float], a: float, b: float) -> float:
    def one(xi: float, ki: float, ni: float) -> float:
        at = max(-_LARGEST_LOGIT, min(_LARGEST_LOGIT, a + b * xi))
        return ki * at - ni * math.log1p(math.exp(at))

    return math.fsum(one(*each) for each in zip(x, k, n, strict=True))


def _logit(p: float) -> float:
    p = min(max(p, 1e-9), 1 - 1e-9)
    return math.log(p / (1 - p))


def _logistic(at: float) -> float:
    at = max(-_LARGEST_LOGIT, min(_LARGEST_LOGIT, at))
    return 1 / (1 + math.exp(-at))
