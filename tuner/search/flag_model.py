"""What each flag is worth by all trials of the search together: a Gaussian process over their configurations.

It is the model by which the default sampler chooses (`tuner/search/auto`), without what is expected
beforehand, and it is fitted whatever the sampler was. Its intervals stand on the search's single deployments
and on the model's own assumptions, so they say less than the validation's blocks do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tuner.search.auto.encoding import Encoding, Rows
from tuner.search.auto.options import AutoOptions
from tuner.search.auto.outcomes import outcomes_of
from tuner.search.auto.surrogate import Known, Prior, Surrogate
from tuner.search.history import History
from tuner.spec.space import Space
from tuner.trial.objective import Goal
from tuner.trial.ports import ParamValue
from tuner.trial.student_t import NORMAL_975
from tuner.verdict import Gain

FEWEST = 5  # measured trials that a model is made of
LEAST_NOISE = 0.002  # a few deployments that happen to agree are not believed to be exact
_TRIAL_SHARE = 0.5  # of a whole trial's noise variance that more rounds do not lessen
_MOST = 250  # trials that it is made of

Params = Mapping[str, ParamValue]


class FlagModel:
    """Fitted to a history.

    Args:
        weights: of each objective; compared is the weighted sum of their logarithms, turned so that more is
            better.
        noise: by how much a deployment's log is expected to scatter; None where that is not known.
    """

    def __init__(
        self,
        history: History,
        space: Space,
        *,
        goals: Sequence[Goal],
        weights: Sequence[float],
        slos: Sequence[str],
        noise: float | None = None,
    ) -> None:
        self._encoding = Encoding(space)
        self._options = AutoOptions()
        self._noise = max(LEAST_NOISE, self._options.noise if noise is None else noise)
        seen = outcomes_of(history, goals, slos)
        self._rows = self._encoding.rows(seen.params)
        longest = float(seen.rounds[seen.whole].max(initial=1.0))
        self._variance = _TRIAL_SHARE + (1 - _TRIAL_SHARE) * np.maximum(1.0, longest / seen.rounds)
        counted = np.array(weights) > 0
        values = seen.objectives[:, counted] @ np.array(weights)[counted]
        self._objective = self._fitted(np.where(seen.failed, np.nan, values))
        self._slos = [f for column in seen.slos.T if (f := self._fitted(column)) is not None]

    @property
    def knows(self) -> bool:
        """Whether the search measured enough to say anything."""
        return self._objective is not None

    def gain(self, one: Params, other: Params) -> Gain:
        """Of `one` over `other`, with the model's 95 % interval; NaN where it does not know."""
        if self._objective is None:
            return Gain(math.nan, math.nan, math.nan)
        mean, covariance = self._objective.predicted([one, other])
        difference = float(mean[0] - mean[1])
        spread = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
        half = NORMAL_975 * math.sqrt(max(0.0, spread))
        return Gain(math.expm1(difference), math.expm1(difference - half), math.expm1(difference + half))

    def keeps_limits(self, params: Params) -> bool:
        """Whether every SLO that it knows of is expected to be kept, by a standard deviation."""
        for fitted in self._slos:
            mean, covariance = fitted.predicted([params])
            if mean[0] + math.sqrt(max(0.0, float(covariance[0, 0]))) > 0:
                return False
        return True

    def _fitted(self, values: Rows) -> _Fitted | None:
        told = np.flatnonzero(np.isfinite(values))[-_MOST:]
        if len(told) < FEWEST or not self._encoding.parameters:
            return None
        options = self._options
        prior = Prior(length=options.length, sizes=options.sizes, noise=(self._noise, 0.7))
        surrogate = Surrogate(self._encoding.parameters, prior=prior, steps=options.fit_steps)
        rows = self._rows[told]
        lines = _lines(rows, options.slope)
        surrogate.fit(Known(self._encoding.apart(rows, rows), values[told], self._variance[told], lines))
        return _Fitted(surrogate, self._encoding, rows, options.slope)


class _Fitted:
    """A surrogate of one figure, and what it stands on."""

    def __init__(self, surrogate: Surrogate, encoding: Encoding, rows: Rows, slope: float) -> None:
        self._surrogate = surrogate
        self._encoding = encoding
        self._rows = rows
        self._slope = slope

    def predicted(self, configurations: Sequence[Params]) -> tuple[Rows, Rows]:
        """Means, (m,), and their covariance, (m, m)."""
        ahead = self._encoding.rows(configurations)
        levels = self._encoding.levels(ahead)
        tables = self._encoding.tables(self._rows, levels)
        lines = _lines(ahead, self._slope)
        mean, _ = self._surrogate.predict(tables, levels, lines)
        apart = self._encoding.apart(ahead, ahead)
        return mean, self._surrogate.covariance(tables, levels, lines, apart)


def _lines(rows: Rows, slope: float) -> Rows:
    """Every column may have a slope."""
    return slope * (rows - 0.5)
