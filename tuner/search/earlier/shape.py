"""How a figure of an earlier run rises and falls over its configurations, and so over this run's.

The figure of this run is taken to be f(x) = b + rho g(x) + d(x): g the earlier run's, rho normal around how
far that run is believed, b unknown, d this run's own Gaussian process (Kennedy and O'Hagan, "Predicting the
output from a complex computer code when fast approximations are available", Biometrika 87 (2000), eq. 2, with
rho integrated out as one more slope). So an earlier run has a shape and no level, and where this run's trials
speak against it rho goes to 0, or below.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from tuner.search.auto.encoding import Flags, Rows
from tuner.search.auto.failures import Failures
from tuner.search.auto.options import AutoOptions
from tuner.search.auto.surrogate import Known, Prior, Surrogate
from tuner.search.earlier.joint import Joint

_FEWEST = 3
_STEPS = 25
_MOST_CERTAIN = 3.0  # standard normal units of P(deploys): an earlier run never makes sure


class Shape:
    """The posterior mean of one figure of an earlier run.

    Args:
        rows: of its configurations, (n, columns).
        values: NaN where unknown, (n,).
        variance: of each value's noise, in units of that of a whole trial, (n,).
    """

    def __init__(self, joint: Joint, rows: Rows, values: Rows, variance: Rows) -> None:
        told = np.flatnonzero(np.isfinite(values))
        self._joint = joint
        self._rows = rows[told]
        options = AutoOptions()
        self._slope = options.slope
        prior = Prior(length=options.length, sizes=options.sizes, noise=(options.noise, 0.7))
        self._surrogate = Surrogate(joint.parameters, prior=prior, steps=_STEPS)
        self._surrogate.fit(
            Known(joint.apart(self._rows, self._rows), values[told], variance[told], self._lines(self._rows))
        )

    @classmethod
    def of(cls, joint: Joint, rows: Rows, values: Rows, variance: Rows) -> Shape | None:
        """None where too little is known, or it is the same everywhere."""
        told = values[np.isfinite(values)]
        if len(told) < _FEWEST or np.ptp(told) == 0:
            return None
        return cls(joint, rows, values, variance)

    def at(self, rows: Rows) -> Rows:
        """The mean at rows of the same columns, (m,)."""
        levels = self._joint.levels(rows)
        tables = self._joint.tables(self._rows, levels)
        return self._surrogate.predict(tables, levels, self._lines(rows))[0]

    def _lines(self, rows: Rows) -> Rows:
        return self._slope * (rows - 0.5)


class Edge:
    """Where an earlier run's configurations deployed."""

    def __init__(self, rows: Rows, deployed: Flags) -> None:
        self._failures = Failures()
        self._failures.fit(rows, deployed)

    @classmethod
    def of(cls, rows: Rows, deployed: Flags) -> Edge | None:
        """None where all or none of them did."""
        return None if deployed.all() or not deployed.any() else cls(rows, deployed)

    def at(self, rows: Rows) -> Rows:
        """P(deploys) in standard normal units, (m,)."""
        share = np.exp(self._failures.log_probability(rows))
        return np.asarray(np.clip(ndtri(share), -_MOST_CERTAIN, _MOST_CERTAIN))
