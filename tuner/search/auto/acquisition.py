"""What a trial is expected to gain: log expected improvement of a feasible best, per expected second.

log EI in the numerically stable form of Ament et al., "Unexpected Improvements to Expected Improvement for
Bayesian Optimization" (NeurIPS 2023), eq. 9; times the probability of each limit and of deploying after
Gelbart, Snoek and Adams, "Bayesian Optimization with Unknown Constraints" (UAI 2014).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import erfcx, log_ndtr

from tuner.search.auto.encoding import Rows

_LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)
_ROOT_HALF_PI = math.sqrt(math.pi / 2)


@dataclass(frozen=True, slots=True)
class Gains:
    """For each candidate, (m,): the log of what it is worth, by parts.

    Attributes:
        improvement: log of the expected gain over the feasible best, as a share of it; 0 where nothing is
            feasible yet.
        within: log of the probability that every limit is kept.
        deploys: log of the probability that it deploys.
        seconds: log of what it is expected to cost.
        caution: the power to which the two probabilities are taken; more than 1 after setbacks.
    """

    improvement: Rows
    within: Rows
    deploys: Rows
    seconds: Rows
    caution: float = 1.0

    @property
    def share(self) -> Rows:
        """The log of the expected feasible gain, whatever it costs."""
        return np.asarray(self.improvement + self.caution * (self.within + self.deploys))

    @property
    def left(self) -> float:
        """The largest expected feasible gain of one trial, as a share of the best, without caution."""
        return float(np.expm1(np.exp((self.improvement + self.within + self.deploys).max())))

    @property
    def rate(self) -> Rows:
        """The log of the expected feasible gain per second."""
        return np.asarray(self.share - self.seconds)


def log_expected_improvement(mean: Rows, deviation: Rows, best: float) -> Rows:
    """log E[max(0, f - best)] for f normal, (m,)."""
    z = (mean - best) / deviation
    return np.asarray(_log_h(z) + np.log(deviation))


def log_probability_of_improvement(mean: Rows, deviation: Rows, best: float) -> Rows:
    """log P(f > best), (m,)."""
    return np.asarray(log_ndtr((mean - best) / deviation))


def log_probability_within(mean: Rows, deviation: Rows) -> Rows:
    """log P(z <= 0): that a limit is kept, (m,)."""
    return np.asarray(log_ndtr(-mean / deviation))


def _log_h(z: Rows) -> Rows:
    """log(phi(z) + z Phi(z)), also where both terms vanish."""
    near = np.maximum(z, -1.0)
    plain = np.log(np.exp(-0.5 * near * near - _LOG_ROOT_2PI) + near * np.exp(log_ndtr(near)))
    far = np.minimum(z, -1.0)
    mills = _ROOT_HALF_PI * erfcx(-far / math.sqrt(2))  # Phi(z) / phi(z)
    ratio = np.maximum(1 + far * mills, 1e-300)
    tail = np.where(far < -1e3, -2 * np.log(-far), np.log(ratio))
    return np.where(z > -1.0, plain, -0.5 * far * far - _LOG_ROOT_2PI + tail)
