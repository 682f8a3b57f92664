"""All that is learned from the trials so far, put together: what each candidate is expected to gain."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuner.search.auto.acquisition import (
    Gains,
    log_expected_improvement,
    log_probability_of_improvement,
    log_probability_within,
)
from tuner.search.auto.encoding import Encoding, Flags, Levels, Places, Rows
from tuner.search.auto.failures import Failures
from tuner.search.auto.options import AutoOptions
from tuner.search.auto.outcomes import Outcomes
from tuner.search.auto.surrogate import Known, Prior, Surrogate
from tuner.search.auto.trend import Trend

_MOST_FITTED = 60  # trials that the hyperparameters are fitted to
_SECONDS_PRIOR = Prior(noise=(0.1, 0.7), spread=0.2)
_MOST_SETBACKS = 6
_TRIAL_SHARE = 0.5  # of a whole trial's noise variance that more rounds do not lessen


class Model:
    """Fitted to one state of a run.

    Attributes:
        feasible: whether something was measured to its end within every limit.
    """

    def __init__(
        self,
        outcomes: Outcomes,
        values: Rows,
        known: Points,
        *,
        trends: Trends,
        encoding: Encoding,
        options: AutoOptions,
        rng: random.Random,
    ) -> None:
        """Fit everything.

        Args:
            values: the one figure that is to be high for each trial, NaN where unknown, (n,).
            known: the trials' configurations.
        """
        self._options = options
        self._encoding = encoding
        self._known = known
        self._levels = encoding.levels(known.rows)
        self._tables = encoding.tables(known.rows, self._levels)
        self._running = outcomes.running
        self._rng = rng
        longest = float(outcomes.rounds[outcomes.whole].max(initial=1.0))
        few = np.maximum(1.0, longest / outcomes.rounds)
        self._variance = _TRIAL_SHARE + (1 - _TRIAL_SHARE) * few
        prior = self._prior(options.noise)
        self._objective = self._fitted(values, prior, trends.objective, slope=options.slope)
        self._slos: list[_Fitted] = []
        for column, trend in zip(outcomes.slos.T, trends.slos, strict=True):
            told = column[~np.isnan(column)]
            if options.slo_models and len(told) and not (np.ptp(told) == 0 and told[0] <= 0):
                fitted = self._fitted(column, prior, trend, slope=1.5 * options.slope)
                if fitted is not None:
                    self._slos.append(fitted)
        costs = np.where(outcomes.failed, np.nan, np.log(outcomes.seconds))
        self._seconds = self._fitted(costs, _SECONDS_PRIOR, steps=0) if options.cost else None
        self._failures = Failures()
        labelled = outcomes.failed | ~np.isnan(values)
        self._edge = trends.deploys
        if options.failure_model and labelled.any():
            kept = self._some(np.flatnonzero(labelled), options.most_points)
            self._failures.fit(known.rows[kept], ~outcomes.failed[kept], self._before(known.at(kept)))
        self._best = self._incumbent(values, outcomes.feasible & outcomes.whole)
        self._caution = 1 + options.caution * min(_MOST_SETBACKS, _setbacks(outcomes))
        self._nearest = 0.0
        self.feasible = self._best is not None
        nothing_feasible = not self.feasible
        if options.below is not None and nothing_feasible and self._objective is not None:
            self._best = float(np.nanmin(values)) - options.below
        if options.halving and nothing_feasible:
            worst = outcomes.slos[~np.isnan(outcomes.slos).any(axis=1)].max(axis=1, initial=0.0)
            self._nearest = 0.5 * float(worst.min(initial=np.inf)) if len(worst) else 0.0

    @property
    def knows(self) -> bool:
        """Whether anything at all was measured."""
        return self._objective is not None

    def gains(self, candidates: Points) -> Gains:
        """What each of the candidates is worth."""
        nothing = np.zeros(len(candidates.rows))
        ahead = _Ahead.of(candidates, self._encoding)
        improvement, within, seconds = nothing, nothing.copy(), nothing
        if self._objective is not None and self._best is not None:
            mean, deviation = self._predicted(self._objective, ahead)
            by = self._options.improvement
            judge = log_expected_improvement if by == "expected" else log_probability_of_improvement
            improvement = judge(mean, deviation, self._best)
        for fitted in self._slos:
            mean, deviation = self._predicted(fitted, ahead)
            within += log_probability_within(mean - self._nearest, deviation)
        if self._seconds is not None:
            seconds, _ = self._predicted(self._seconds, ahead)
        deploys = self._failures.log_probability(candidates.rows, self._before(candidates))
        return Gains(improvement, within, deploys, seconds, self._caution)

    def _before(self, points: Points) -> Rows | None:
        """How likely these deploy by what is known beforehand, in standard normal units around 0."""
        if self._edge is None or not self._options.failure_model:
            return points.room if self._options.failure_model else None
        learned = self._edge.expected(points.roles)
        return learned if points.room is None else learned + points.room

    def _prior(self, noise: float) -> Prior:
        return Prior(length=self._options.length, sizes=self._options.sizes, noise=(noise, 0.7))

    def _incumbent(self, values: Rows, feasible: Flags) -> float | None:
        """What the best feasible trial is believed to be worth, its luck taken out."""
        good = feasible & ~np.isnan(values)
        if self._objective is None or not good.any():
            return None
        mean, _ = self._predicted(self._objective, _Ahead.of(self._known.at(good), self._encoding))
        return float(mean.max())

    def _fitted(
        self,
        values: Rows,
        prior: Prior,
        trend: Trend | None = None,
        *,
        slope: float = 0.0,
        steps: int | None = None,
    ) -> _Fitted | None:
        """A surrogate of one figure and what it stands on; what runs counts as measured as expected."""
        told = np.flatnonzero(~np.isnan(values))
        if not len(told):
            return None
        options = self._options
        steps = options.fit_steps if steps is None else steps
        surrogate = Surrogate(self._encoding.parameters, prior=prior, steps=steps)
        fitted = _Fitted(surrogate, self._known, trend, slope)
        few = self._some(told, _MOST_FITTED)
        fitted.surrogate.fit(self._stood_on(few, values, fitted, fit=True))
        kept = self._some(told, options.most_points)
        fitted.points = self._known.at(kept)
        if len(kept) > len(few):
            fitted.surrogate.condition(self._stood_on(kept, values, fitted))
        waiting = np.flatnonzero(self._running & np.isnan(values))
        if len(waiting):
            believed = values.copy()
            believed[waiting], _ = self._predicted(fitted, _Ahead.of(self._known.at(waiting), self._encoding))
            both = np.concatenate([kept, waiting])
            fitted.points = self._known.at(both)
            fitted.surrogate.condition(self._stood_on(both, believed, fitted))
        return fitted

    def _stood_on(self, places: Places, values: Rows, fitted: _Fitted, *, fit: bool = False) -> Known:
        points = self._known.at(places)
        rows = points.rows if fit else points.rows[:0]
        apart = self._encoding.apart(rows, rows)
        expected, lines = fitted.along(points)
        tables, levels = [table[places] for table in self._tables], self._levels.at(places)
        return Known(apart, values[places] - expected, self._variance[places], lines, tables, levels)

    def _predicted(self, fitted: _Fitted, ahead: _Ahead) -> tuple[Rows, Rows]:
        tables = self._encoding.tables(fitted.points.rows, ahead.levels)
        expected, lines = fitted.along(ahead.points)
        mean, deviation = fitted.surrogate.predict(tables, ahead.levels, lines)
        return mean + expected, deviation

    def _some(self, known: Places, most: int) -> Places:
        """At most so many of them, drawn."""
        if len(known) <= most:
            return known
        return np.array(sorted(self._rng.sample(known.tolist(), most)), dtype=np.intp)


@dataclass(frozen=True, slots=True)
class Points:
    """Configurations.

    Attributes:
        rows: encoded, (n, columns).
        roles: by what their parameters mean, (n, roles).
        room: what their memory does to the latent value of deploying, (n,); None where it is not known.
    """

    rows: Rows
    roles: Rows
    room: Rows | None = None

    def at(self, places: Places | Flags) -> Points:
        """Some of them."""
        room = None if self.room is None else self.room[places]
        return Points(self.rows[places], self.roles[places], room)


@dataclass(frozen=True, slots=True)
class Trends:
    """What is expected beforehand of the objective, of each limit and of deploying; None for nothing."""

    objective: Trend | None
    slos: Sequence[Trend | None]
    deploys: Trend | None = None

    @classmethod
    def nothing(cls, slos: int) -> Trends:
        """Of the objective and of so many limits."""
        return cls(None, [None] * slos)


@dataclass(slots=True)
class _Fitted:
    """A surrogate, the points it stands on, and the trend that it is the rest of."""

    surrogate: Surrogate
    points: Points
    trend: Trend | None
    slope: float

    def along(self, points: Points) -> tuple[Rows, Rows]:
        """What the trend expects, (n,), and the lines of its covariance, (n, k).

        Whatever a parameter means, it may have a slope, of a deviation of `slope` over its range.
        """
        lines = self.slope * (points.rows - 0.5)
        if self.trend is None:
            return np.zeros(len(lines)), lines
        return self.trend.expected(points.roles), np.hstack([lines, self.trend.lines(points.roles)])


@dataclass(frozen=True, slots=True)
class _Ahead:
    """Points to predict at."""

    levels: Levels
    points: Points

    @classmethod
    def of(cls, points: Points, encoding: Encoding) -> _Ahead:
        return cls(encoding.levels(points.rows), points)


def _setbacks(outcomes: Outcomes) -> int:
    """How many of the last trials failed or missed a limit, one after another."""
    ended = ~outcomes.running
    good = (outcomes.feasible & ~outcomes.failed)[ended]
    return int(len(good) - 1 - np.flatnonzero(good)[-1]) if good.any() else 0


def scalar(objectives: Rows, rng: random.Random) -> Rows:
    """One figure for each trial, higher better, (n,), of logs of its objectives, (n, goals).

    Several objectives are weighed by the augmented Chebyshev function with weights drawn anew at each
    suggestion: Knowles, "ParEGO" (IEEE Transactions on Evolutionary Computation, 2006), eq. 1 and 2.
    """
    if objectives.shape[1] == 1 or not len(objectives):
        return np.asarray(objectives[:, 0]) if objectives.shape[1] else np.zeros(len(objectives))
    drawn = np.array([-math.log(1 - rng.random()) for _ in range(objectives.shape[1])])
    weights = drawn / drawn.sum()
    known = objectives[~np.isnan(objectives).any(axis=1)]
    if not len(known):
        return np.full(len(objectives), np.nan)
    below = (known.max(axis=0) - objectives) * weights
    return np.asarray(-(below.max(axis=1) + 0.05 * below.sum(axis=1)))
