"""A Gaussian process over configurations, its hyperparameters at the mode of their posterior.

Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), algorithm 2.1 and eq. 5.9 for the
gradient of the marginal likelihood; log-normal priors keep few trials from saying too much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.optimize import minimize

from tuner.search.auto.encoding import Levels, Rows
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
    """

    length: tuple[float, float] = (1.0, 0.8)
    sizes: tuple[float, float, float] = (0.5, 0.3, 0.2)
    size_deviation: float = 1.0
    noise: tuple[float, float] = (0.03, 0.7)


class Surrogate:
    """Values at configurations, from noisy ones at others.

    Args:
        parameters: the number of parameters that have a length of their own.
        steps: of the optimiser at each fit; it goes on where the fit before ended.
    """

    def __init__(self, parameters: int, *, prior: Prior | None = None, steps: int = 25) -> None:
        self._prior = prior or Prior()
        self._parameters = parameters
        self._there = np.array(self._prior.sizes) > 0
        self._steps = steps
        self._theta: Rows | None = None
        self._middle = 0.0
        self._scale = 1.0

    def fit(self, apart: Rows, values: Rows, variance: Rows) -> None:
        """Fit the hyperparameters and condition on the values.

        Args:
            apart: squared distances by parameter among the configurations, (parameters, n, n).
            values: (n,).
            variance: of each value's noise, in units of that of a whole trial, (n,).
        """
        self._middle = float(np.average(values, weights=1 / variance))
        spread = math.sqrt(float(np.average((values - self._middle) ** 2)))
        self._scale = max(spread, 2 * self._prior.noise[0])
        standard = (values - self._middle) / self._scale
        centre, _ = self._centre()
        start = centre if self._theta is None else self._theta
        if len(values) > 1 and self._steps:

            def cost(theta: Rows) -> tuple[float, Rows]:
                return self._negative_log_posterior(theta, apart, standard, variance)

            bounds = [(c - _FAR, c + _FAR) for c in centre]
            start = np.clip(start, centre - _FAR, centre + _FAR)
            found = minimize(
                cost, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": self._steps}
            )
            if np.all(np.isfinite(found.x)):
                start = found.x
        self._theta = start
        self.condition(apart, values, variance)

    def condition(self, apart: Rows, values: Rows, variance: Rows) -> None:
        """Take other values in, the hyperparameters as they are."""
        assert self._theta is not None
        self._kernel, noise = self._unpacked(self._theta)
        covariance = self._kernel(apart)
        covariance[np.diag_indices_from(covariance)] += noise * variance + _JITTER
        self._factor = cholesky(covariance, lower=True)
        self._alpha = cho_solve((self._factor, True), (values - self._middle) / self._scale)

    def predict(self, tables: Sequence[Rows], levels: Levels) -> tuple[Rows, Rows]:
        """Mean and standard deviation of the noiseless value, (m,) each.

        Args:
            tables: squared distances of the known configurations, by parameter, to each level.
        """
        cross = self._kernel.across(tables, levels)
        mean = cross.T @ self._alpha
        half = solve_triangular(self._factor, cross, lower=True, check_finite=False)
        left = np.maximum(self._kernel.prior_variance - np.einsum("ij,ij->j", half, half), 1e-10)
        return self._middle + self._scale * mean, self._scale * np.sqrt(left)

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

    def _negative_log_posterior(
        self, theta: Rows, apart: Rows, values: Rows, variance: Rows
    ) -> tuple[float, Rows]:
        """And its slopes, by the logarithms of lengths, sizes and noise; `values` are standardised."""
        centre, width = self._centre()
        kernel, noise = self._unpacked(theta)
        covariance, slopes = kernel.with_slopes(apart)
        covariance[np.diag_indices_from(covariance)] += noise * variance + _JITTER
        factor, wrong = dpotrf(covariance, lower=1)
        if wrong:
            return 1e10, np.zeros_like(theta)
        half, _ = dpotri(factor, lower=1)  # the lower half of the inverse
        inverse = half + np.tril(half, -1).T
        alpha = inverse @ values
        weights = 0.5 * (inverse - np.outer(alpha, alpha))
        by_noise = float((np.diag(weights) * variance).sum()) * noise
        away = (theta - centre) / width
        cost = 0.5 * values @ alpha + np.log(np.diag(factor)).sum() + 0.5 * away @ away
        return float(cost), np.concatenate([slopes(weights), [by_noise]]) + away / width
