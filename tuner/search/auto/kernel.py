"""The covariance of two configurations: main effects, effects of pairs, and all parameters together.

    k(x, y) = a mean_p(k_p) + b mean_{p<q}(k_p k_q) + c m(|d / l|),   k_p = m(d_p / l_p)
    m(r) = (1 + s + s^2 / 3) exp(-s),  s = sqrt(5) r,  one length l_p a parameter

m is Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), eq. 4.17 (Matern-5/2); the
parts of first and second order are Duvenaud, Nickisch and Rasmussen, "Additive Gaussian Processes" (NIPS
2011), eq. 6 to 9, the second by Newton and Girard's formula.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.search.auto.encoding import Levels, Rows

_ROOT_5 = 5.0**0.5
PARTS = 3  # main effects, pairs, joint
_AT_ONCE = 64  # rows


@dataclass(frozen=True, slots=True)
class Kernel:
    """Lengths of the parameters, (parameters,), and the variances of the three parts, (3,)."""

    lengths: Rows
    sizes: Rows

    @property
    def prior_variance(self) -> float:
        """k(x, x)."""
        return float(self.sizes.sum())

    def __call__(self, apart: Rows) -> Rows:
        """Covariances, (n, m), for squared distances by parameter, (parameters, n, m)."""
        scaled = apart / (self.lengths**2)[:, None, None]
        s, e = _terms(scaled.sum(axis=0))
        found = self.sizes[2] * (1 + s + s * s / 3) * e
        if self.sizes[:2].any():
            s, e = _terms(scaled)
            each = (1 + s + s * s / 3) * e
            first = each.sum(axis=0)
            found += (self.sizes[0] / len(each)) * first
            found += (self.sizes[1] / _pairs(len(each))) * (first**2 - (each**2).sum(axis=0))
        return np.asarray(found)

    def across(self, tables: Sequence[Rows], levels: Levels) -> Rows:
        """Covariances, (n, m), of n rows with many, from squared distances to each level, (n, levels).

        Each of the many takes whole rows of a table by level, a few at a time, so that they stay in the
        processor's cache; the result is transposed, in columns, as LAPACK reads it.
        """
        n = len(tables[0]) if tables else 0
        by_level = []
        for squared, length in zip(tables, self.lengths, strict=True):
            scaled = squared.T / length**2
            s, e = _terms(scaled)
            each = (1 + s + s * s / 3) * e
            by_level.append(np.hstack([scaled, each, each**2]))
        found = np.empty((levels.count, n))
        for start in range(0, levels.count, _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            found[some] = self._of_sums(
                sum((t[p[some]] for t, p in zip(by_level, levels.places, strict=True)), np.zeros(3 * n)),
                len(tables),
            )
        return found.T

    def _of_sums(self, sums: Rows, parameters: int) -> Rows:
        """Covariances, (m, n), from sums over the parameters: scaled distances, k_p and k_p^2, (m, 3 n)."""
        total, first, second = np.split(sums, 3, axis=-1)
        s, e = _terms(total)
        found = self.sizes[2] * (1 + s + s * s / 3) * e
        found += (self.sizes[0] / max(1, parameters)) * first
        return np.asarray(found + (self.sizes[1] / _pairs(parameters)) * (first**2 - second))

    def with_slopes(self, apart: Rows) -> tuple[Rows, Callable[[Rows], Rows]]:
        """Covariances, and weights -> sum(weights * dk / d theta).

        theta is the logarithms of the lengths and of the sizes, in that order.
        """
        n = len(apart)
        scaled = apart / (self.lengths**2)[:, None, None]
        s, e = _terms(scaled.sum(axis=0))
        parts = np.zeros((PARTS, *e.shape))
        parts[2] = self.sizes[2] * (1 + s + s * s / 3) * e
        by_scaled = np.broadcast_to((self.sizes[2] * 5 / 3) * ((1 + s) * e), scaled.shape)
        if self.sizes[:2].any():
            s, e = _terms(scaled)
            slope = (1 + s) * e
            each = slope + s * s / 3 * e
            first = each.sum(axis=0)
            pair = self.sizes[1] / _pairs(n)
            parts[0] = self.sizes[0] / n * first
            parts[1] = pair * (first**2 - (each**2).sum(axis=0))
            by_scaled = by_scaled + (5 / 3) * slope * (self.sizes[0] / n + 2 * pair * (first - each))
        by_length = scaled * by_scaled

        def slopes(weights: Rows) -> Rows:
            flat = weights.ravel()
            return np.concatenate([by_length.reshape(n, -1) @ flat, parts.reshape(PARTS, -1) @ flat])

        return parts.sum(axis=0), slopes


def _pairs(parameters: int) -> int:
    """Ordered pairs of different parameters; 1 where there is none."""
    return max(1, parameters * (parameters - 1))


def _terms(squared: Rows) -> tuple[Rows, Rows]:
    s = _ROOT_5 * np.sqrt(squared)
    return s, np.exp(-s)
