"""The probability that a configuration deploys, learned from those that did and those that did not.

A Gaussian process classifier with a probit link in Laplace's approximation: Rasmussen and Williams,
"Gaussian Processes for Machine Learning" (2006), algorithms 3.1 and 3.2. Its covariance is linear in the
encoded parameters, because what does not fit into memory lies beyond a plane in the logarithms of the
sizes, plus a Matern-5/2 for what is not; scales are chosen among a few by the approximate evidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.special import log_ndtr

from tuner.search.auto.encoding import Flags, Rows

_STEPS = 20
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_ROOT_5 = 5.0**0.5
# (variance of the linear part, of the other, its length)
_SCALES = [(4.0, 0.5, 0.7), (16.0, 0.5, 0.7), (1.0, 4.0, 0.5), (4.0, 4.0, 0.5), (1.0, 16.0, 0.3)]
_BEFORE = 1.0  # the latent value nobody has spoken against: 84 % deploy


@dataclass(frozen=True, slots=True)
class _Fitted:
    scales: tuple[float, float, float]
    slope: Rows  # of log p(labels | latent) at its mode
    root: Rows  # of the negative curvature
    factor: Rows
    evidence: float


class Failures:
    """Learned from labels; until one speaks, what is expected beforehand is all there is."""

    def __init__(self) -> None:
        self._rows: Rows | None = None
        self._fitted: _Fitted | None = None

    def fit(self, rows: Rows, deployed: Flags, before: Rows | None = None) -> None:
        """Learn from encoded configurations, (n, columns), and whether each deployed, (n,).

        Args:
            before: what else is expected of each, added to the latent value; None for nothing, (n,).
        """
        self._rows, self._fitted = rows, None
        if deployed.all() and (before is None or not before.any()):
            return
        signs = np.where(deployed, 1.0, -1.0)
        latent = _BEFORE + (np.zeros(len(rows)) if before is None else before)
        between = _Between.of(rows, rows)
        modes = (_mode(between.covariance(s), signs, latent, s) for s in _SCALES)
        self._fitted = max(modes, key=lambda f: f.evidence)

    def log_probability(self, rows: Rows, before: Rows | None = None) -> Rows:
        """log P(deploys) of each row, (m,); `before` as in `fit`."""
        fitted = self._fitted
        if fitted is None or self._rows is None:
            if before is None or not before.any():
                return np.zeros(len(rows))
            return np.asarray(log_ndtr(_BEFORE + before))
        cross = _Between.of(rows, self._rows).covariance(fitted.scales).T  # in columns, as LAPACK reads it
        mean = _BEFORE + cross.T @ fitted.slope
        if before is not None:
            mean += before
        half = solve_triangular(fitted.factor, fitted.root[:, None] * cross, lower=True, check_finite=False)
        prior = _variance(rows, fitted.scales)
        variance = np.maximum(prior - np.einsum("ij,ij->j", half, half), 0.0)
        return np.asarray(log_ndtr(mean / np.sqrt(1 + variance)))


def _mode(covariance: Rows, signs: Rows, before: Rows, scales: tuple[float, float, float]) -> _Fitted:
    latent = before.copy()
    a = np.zeros(len(latent))
    for _ in range(_STEPS):
        log_likelihood, slope, curvature = _probit(latent, signs)
        root = np.sqrt(curvature)
        factor = _factor(covariance, root)
        b = curvature * (latent - before) + slope
        inner = solve_triangular(factor, root * (covariance @ b), lower=True, check_finite=False)
        a = b - root * solve_triangular(factor, inner, lower=True, trans="T", check_finite=False)
        moved = before + covariance @ a
        change = float(np.abs(moved - latent).max())
        latent = moved
        if change < 1e-4:
            break
    log_likelihood, slope, curvature = _probit(latent, signs)
    root = np.sqrt(curvature)
    factor = _factor(covariance, root)
    evidence = -0.5 * a @ (latent - before) + log_likelihood - np.log(np.diag(factor)).sum()
    return _Fitted(scales, slope, root, factor, float(evidence))


def _factor(covariance: Rows, root: Rows) -> Rows:
    """L with L L^T = I + root * covariance * root."""
    inner = root[:, None] * covariance * root[None, :]
    inner[np.diag_indices_from(inner)] += 1.0
    return np.asarray(cholesky(inner.T, lower=True, overwrite_a=True, check_finite=False))


def _probit(latent: Rows, signs: Rows) -> tuple[float, Rows, Rows]:
    """log likelihood, its slope and its negative curvature; Rasmussen and Williams, eq. 3.16."""
    z = signs * latent
    log_share = log_ndtr(z)
    ratio = np.exp(-0.5 * z * z - _HALF_LOG_2PI - log_share)
    return float(log_share.sum()), signs * ratio, np.maximum(ratio * (ratio + z), 1e-10)


@dataclass(frozen=True, slots=True)
class _Between:
    """What every covariance of two sets of rows is made of, (n, m) each.

    Attributes:
        inner: products around the middle.
        apart: distances, as a share of the largest.
    """

    inner: Rows
    apart: Rows

    @classmethod
    def of(cls, a: Rows, b: Rows) -> _Between:
        squared = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :] - 2 * (a @ b.T)
        apart = np.sqrt(np.maximum(squared, 0.0) / max(1, a.shape[1]))
        return cls((a - 0.5) @ (b - 0.5).T, apart)

    def covariance(self, scales: tuple[float, float, float]) -> Rows:
        linear, other, length = scales
        s = (_ROOT_5 / length) * self.apart
        return np.asarray(linear * self.inner + other * (1 + s + s * s / 3) * np.exp(-s))


def _variance(rows: Rows, scales: tuple[float, float, float]) -> Rows:
    linear, other, _ = scales
    return np.asarray(linear * ((rows - 0.5) ** 2).sum(axis=1) + other)
