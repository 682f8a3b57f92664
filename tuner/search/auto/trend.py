"""What is expected of a parameter before anything was measured: slopes by role, learned on other surfaces.

The logarithm of a metric is taken to rise along each role by a slope that is the same in every experiment but
for a deviation: the prior of a Bayesian linear model, to which the Gaussian process is added (Rasmussen and
Williams, "Gaussian Processes for Machine Learning" (2006), section 2.7). Where the deviation is large the
trials speak at once; where every surface agreed they have to insist.

`learned.json` holds means and deviations over the surfaces for choosing; benchmarks/surfaces/learn_prior.py
made it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from tuner.search.auto.encoding import Rows

_UNKNOWN = (0.0, 0.0)
_LEARNED = Path(__file__).with_name("learned.json")
Slopes = Mapping[str, Mapping[str, tuple[float, float]]]  # metric -> role -> mean, deviation


@dataclass(frozen=True, slots=True)
class Trend:
    """The prior of one figure.

    Attributes:
        means, deviations: of its slopes along the roles, (roles,) each.
        together: directions in which several slopes may differ together, in deviations, (roles, k); None
            for none.
    """

    means: Rows
    deviations: Rows
    together: Rows | None = None

    def expected(self, roles: Rows) -> Rows:
        """The mean at rows of role figures, (n, roles) -> (n,)."""
        return np.asarray(roles @ self.means)

    def lines(self, roles: Rows) -> Rows:
        """L with the covariance L L^T that the slopes' deviations give, (n, roles + k)."""
        alone = roles * self.deviations
        return np.asarray(alone if self.together is None else np.hstack([alone, roles @ self.together]))


@cache
def learned() -> Slopes:
    """The slopes that ship."""
    found: Slopes = json.loads(_LEARNED.read_text())["slopes"]
    return found


def trend_of(metric: str, names: tuple[str, ...], slopes: Slopes, *, sign: float = 1.0) -> Trend | None:
    """The trend of the logarithm of a metric, times `sign`; None where nothing is known of it.

    A percentile stands for its latency, whichever it is. What each accelerator makes is what all make over
    their number, which the roles width and replicas tell.
    """
    name = metric.rpartition(".")[2]
    per_accelerator = name.endswith("_per_accelerator")
    name = name.removesuffix("_per_accelerator")
    known = slopes.get(name) or slopes.get(name.partition("_")[0])
    if known is None:
        return None
    found = np.array([known.get(role, _UNKNOWN) for role in names], dtype=float).reshape(len(names), 2)
    means = found[:, 0].copy()
    if per_accelerator:
        means -= np.log(2) * np.array([role in ("width", "replicas") for role in names], dtype=float)
    return Trend(sign * means, found[:, 1])
