"""A Gaussian process over configurations, its hyperparameters at the mode of their posterior.

Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), algorithm 2.1 and eq. 5.9 for the
gradient of the marginal likelihood; log-normal priors keep few trials from saying too much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.optimize import minimize

from tuner.search.auto.encoding import Levels, Places, Rows
from tuner.search.auto.kernel import PARTS, Kernel

_JITTER = 1e-8
_FAR = 4.0  # log units from a prior's middle that the optimiser may go


@dataclass(frozen=True, slots=True)
class Prior:
    """Log-normal priors: (median, standard deviation of the logarithm).

    Attributes:
        length: of the kernel, in units of a parameter's range.
        sizes: variances of the kernel's parts, of standardised values; 0 leaves one out.
        noise: standard deviation of a whole trial's measurement, in the values' own unit.
        spread: standard deviation of the values, worth two of them.
    """

    length: tuple[float, float] = (1.0, 0.8)
    sizes: tuple[float, float, float] = (0.5, 0.3, 0.2)
    size_deviation: float = 1.0
    noise: tuple[float, float] = (0.03, 0.7)
    spread: float = 0.3


@dataclass(frozen=True, slots=True)
class Known:
    """What a surrogate stands on.

    Attributes:
        apart: squared distances by parameter among the configurations, (parameters, n, n).
        values: (n,).
        variance: of each value's noise, in units of that of a whole trial, (n,).
        lines: L where L L^T is a covariance to add to the kernel's, in the values' unit, (n, k).
        tables, levels: the same distances as a kernel reads them fastest (Kernel.across); what is to be
            fitted needs `apart` too, else it may be empty.
    """

    apart: Rows
    values: Rows
    variance: Rows
    lines: Rows
    tables: Sequence[Rows] = ()
    levels: Levels | None = None

    def covariance(self, kernel: Kernel) -> Rows:
        """Among the configurations, (n, n)."""
        return kernel(self.apart) if self.levels is None else kernel.across(self.tables, self.levels)


class Surrogate:
    """Values at configurations, from noisy ones at others.

    Args:
        parameters: the number of parameters that have a length of their own.
        steps: of the optimiser, from the middle of the priors: the same values give the same fit.
    """

    def __init__(self, parameters: int, *, prior: Prior | None = None, steps: int = 25) -> None:
        self._prior = prior or Prior()
        self._parameters = parameters
        self._there = np.array(self._prior.sizes) > 0
        self._steps = steps
        self._theta: Rows | None = None
        self._middle = 0.0
        self._scale = 1.0

    def fit(self, known: Known) -> None:
        """Fit the hyperparameters and condition on the values."""
        n, prior = len(known.values), self._prior
        self._middle = float(np.average(known.values, weights=1 / known.variance))
        spread = float(((known.values - self._middle) ** 2).sum())
        self._scale = math.sqrt((spread + 2 * prior.spread**2) / (n + 2))
        centre, _ = self._centre()
        self._theta = centre
        if n > 2 and self._steps:
            bounds = [(c - _FAR, c + _FAR) for c in centre]
            found = minimize(
                self._negative_log_posterior,
                centre,
                args=(known,),
                jac=True,
                method="L-BFGS-B",
                bounds=bounds,
                options={"maxiter": self._steps},
            )
            if np.all(np.isfinite(found.x)):
                self._theta = found.x
        self.condition(known)

    def condition(self, known: Known) -> None:
        """Take other values in, the hyperparameters as they are."""
        assert self._theta is not None
        self._kernel, noise = self._unpacked(self._theta)
        self._lines = known.lines / self._scale
        covariance = known.covariance(self._kernel) + self._lines @ self._lines.T
        covariance[np.diag_indices_from(covariance)] += noise * known.variance + _JITTER
        self._factor = cholesky(covariance, lower=True)
        self._alpha = cho_solve((self._factor, True), (known.values - self._middle) / self._scale)

    def predict(self, tables: Sequence[Rows], levels: Levels, lines: Rows) -> tuple[Rows, Rows]:
        """Mean and standard deviation of the noiseless value, (m,) each.

        Args:
            tables: squared distances of the known configurations, by parameter, to each level.
            lines: as in Known, (m, k).
        """
        ahead = lines / self._scale
        cross = self._kernel.across(tables, levels) + (ahead @ self._lines.T).T
        mean = cross.T @ self._alpha
        half = solve_triangular(self._factor, cross, lower=True, overwrite_b=True, check_finite=False)
        before = self._kernel.prior_variance + np.einsum("ij,ij->i", ahead, ahead)
        left = np.maximum(before - np.einsum("ij,ij->j", half, half), 1e-10)
        return self._middle + self._scale * mean, self._scale * np.sqrt(left)

    def covariance(self, tables: Sequence[Rows], levels: Levels, lines: Rows, apart: Rows) -> Rows:
        """Of the noiseless values at a few configurations, (m, m), as `predict` has them.

        Args:
            apart: squared distances by parameter among them, (parameters, m, m).
        """
        ahead = lines / self._scale
        cross = self._kernel.across(tables, levels) + self._lines @ ahead.T
        half = solve_triangular(self._factor, cross, lower=True, check_finite=False)
        before = self._kernel(apart) + ahead @ ahead.T
        return np.asarray(self._scale**2 * (before - half.T @ half))

    @property
    def noise(self) -> float:
        """The standard deviation of a whole trial's measurement, in the values' own unit."""
        assert self._theta is not None
        return self._scale * math.sqrt(self._unpacked(self._theta)[1])

    def _centre(self) -> tuple[Rows, Rows]:
        p = self._prior
        noise = 2 * math.log(p.noise[0] / self._scale)
        middle = [math.log(p.length[0])] * self._parameters
        middle += [math.log(size) if size > 0 else 0.0 for size in p.sizes]
        width = [p.length[1]] * self._parameters + [p.size_deviation] * PARTS
        return np.array([*middle, noise]), np.array([*width, 2 * p.noise[1]])

    def _unpacked(self, theta: Rows) -> tuple[Kernel, float]:
        lengths, sizes = np.exp(theta[: self._parameters]), np.exp(theta[self._parameters : -1])
        return Kernel(lengths, np.where(self._there, sizes, 0.0)), math.exp(theta[-1])

    def _negative_log_posterior(self, theta: Rows, known: Known) -> tuple[float, Rows]:
        """And its slopes, by the logarithms of lengths, sizes and noise."""
        centre, width = self._centre()
        kernel, noise = self._unpacked(theta)
        lower, times = _pairs(len(known.values))  # each pair once
        of_pairs, slopes = kernel.with_slopes(known.apart[:, *lower][:, None, :])
        covariance = known.lines @ known.lines.T / self._scale**2
        covariance[lower] += of_pairs[0]
        covariance[np.diag_indices_from(covariance)] += noise * known.variance + _JITTER
        factor, wrong = dpotrf(covariance, lower=1)
        if wrong:
            return 1e10, np.zeros_like(theta)
        half, _ = dpotri(factor, lower=1)  # the lower half of the inverse
        inverse = half + np.tril(half, -1).T
        values = (known.values - self._middle) / self._scale
        alpha = inverse @ values
        weights = 0.5 * (inverse - np.outer(alpha, alpha))
        by_noise = float((np.diag(weights) * known.variance).sum()) * noise
        away = (theta - centre) / width
        cost = 0.5 * values @ alpha + np.log(np.diag(factor)).sum() + 0.5 * away @ away
        by_pairs = (weights[lower] * times)[None, :]
        return float(cost), np.concatenate([slopes(by_pairs), [by_noise]]) + away / width


@lru_cache(maxsize=64)
def _pairs(n: int) -> tuple[tuple[Places, Places], Rows]:
    """The lower half of (n, n), and how many times each of it stands in the whole."""
    rows, columns = np.tril_indices(n)
    return (rows, columns), np.where(rows == columns, 1.0, 2.0)
