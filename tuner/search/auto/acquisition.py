"""What a trial is expected to gain: log expected improvement of a feasible best, per expected second.

log EI in the numerically stable form of Ament et al., "Unexpected Improvements to Expected Improvement for
Bayesian Optimization" (NeurIPS 2023), eq. 9; times the probability of each limit and of deploying after
Gelbart, Snoek and Adams, "Bayesian Optimization with Unknown Constraints" (UAI 2014).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import erfcx, log_ndtr

from tuner.search.auto.encoding import Rows

_LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)
_ROOT_HALF_PI = math.sqrt(math.pi / 2)


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
