"""All that is learned from the trials so far, put together: what each candidate is expected to gain."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np

from tuner.search.auto.acquisition import (
    log_expected_improvement,
    log_probability_of_improvement,
    log_probability_within,
)
from tuner.search.auto.encoding import Encoding, Flags, Levels, Places, Rows
from tuner.search.auto.failures import Failures
from tuner.search.auto.options import AutoOptions
from tuner.search.auto.outcomes import Outcomes
from tuner.search.auto.surrogate import Prior, Surrogate

_MOST_FITTED = 80  # trials that the hyperparameters are fitted to
_TRIAL_SHARE = 0.5  # of a whole trial's noise variance that more rounds do not lessen


@dataclass(frozen=True, slots=True)
class Gains:
    """For each candidate, (m,): the log of what it is worth, by parts.

    Attributes:
        improvement: log of the expected gain over the feasible best, as a share of it; 0 where nothing is
            feasible yet.
        within: log of the probability that every limit is kept.
        deploys: log of the probability that it deploys.
        seconds: log of what it is expected to cost.
    """

    improvement: Rows
    within: Rows
    deploys: Rows
    seconds: Rows

    @property
    def share(self) -> Rows:
        """The log of the expected feasible gain, whatever it costs."""
        return np.asarray(self.improvement + self.within + self.deploys)

    @property
    def rate(self) -> Rows:
        """The log of the expected feasible gain per second."""
        return np.asarray(self.share - self.seconds)


class Model:
    """Fitted to one state of a run."""

    def __init__(
        self,
        outcomes: Outcomes,
        rows: Rows,
        values: Rows,
        *,
        encoding: Encoding,
        options: AutoOptions,
        rng: random.Random,
    ) -> None:
        """Fit everything.

        Args:
            rows: the encoded configurations, (n, columns).
            values: the one figure that is to be high for each trial, NaN where unknown, (n,).
        """
        self._options = options
        self._encoding = encoding
        self._rows = rows
        self._running = outcomes.running
        self._rng = rng
        longest = float(outcomes.rounds[outcomes.whole].max(initial=1.0))
        few = np.maximum(1.0, longest / outcomes.rounds)
        self._variance = _TRIAL_SHARE + (1 - _TRIAL_SHARE) * few
        self._objective = self._fitted(values, self._prior(options.noise))
        self._slos: list[tuple[Surrogate, Rows]] = []
        for column in outcomes.slos.T if options.slo_models else []:
            known = column[~np.isnan(column)]
            if len(known) and not (np.ptp(known) == 0 and known[0] <= 0):
                fitted = self._fitted(column, self._prior(options.noise))
                if fitted is not None:
                    self._slos.append(fitted)
        costs = np.log(outcomes.seconds) if options.cost else np.full(len(rows), np.nan)
        if options.cost_of == "measured":
            costs[outcomes.failed] = np.nan
        self._seconds = self._fitted(costs, self._prior(0.1))
        self._failures = Failures()
        labelled = outcomes.failed | ~np.isnan(values)
        self._deploys = None
        if options.failure_kind == "regression" and options.failure_model and outcomes.failed.any():
            labels = np.where(labelled, np.where(outcomes.failed, -1.0, 1.0), np.nan)
            prior = Prior(length=options.length, sizes=options.sizes, noise=(0.2, 0.7))
            self._deploys = self._fitted(labels, prior)
        elif options.failure_model and labelled.any():
            self._failures.fit(self._rows[labelled], ~outcomes.failed[labelled])
        self._best = self._incumbent(values, outcomes.feasible & outcomes.whole)
        self._nearest = 0.0
        if options.halving and self._best is None:
            worst = outcomes.slos[~np.isnan(outcomes.slos).any(axis=1)].max(axis=1, initial=0.0)
            self._nearest = 0.5 * float(worst.min(initial=np.inf)) if len(worst) else 0.0

    @property
    def knows(self) -> bool:
        """Whether anything at all was measured."""
        return self._objective is not None

    def gains(self, rows: Rows) -> Gains:
        """What each of the encoded candidates, (m, columns), is worth."""
        nothing = np.zeros(len(rows))
        levels = self._encoding.levels(rows)
        improvement, within, seconds = nothing, nothing.copy(), nothing
        if self._objective is not None and self._best is not None:
            mean, deviation = self._predicted(self._objective, levels)
            by = self._options.improvement
            judge = log_expected_improvement if by == "expected" else log_probability_of_improvement
            improvement = judge(mean, deviation, self._best)
        for fitted in self._slos:
            mean, deviation = self._predicted(fitted, levels)
            within += log_probability_within(mean - self._nearest, deviation)
        if self._seconds is not None:
            seconds, _ = self._predicted(self._seconds, levels)
        deploys = self._failures.log_probability(rows)
        if self._deploys is not None:
            mean, deviation = self._predicted(self._deploys, levels)
            deploys = log_probability_within(-mean, np.hypot(deviation, 0.2))
        return Gains(improvement, within, deploys, seconds)

    def _prior(self, noise: float) -> Prior:
        return Prior(length=self._options.length, sizes=self._options.sizes, noise=(noise, 0.7))

    def _incumbent(self, values: Rows, feasible: Flags) -> float | None:
        """What the best feasible trial is believed to be worth, its luck taken out."""
        known = feasible & ~np.isnan(values)
        if self._objective is None or not known.any():
            return None
        mean, _ = self._predicted(self._objective, self._encoding.levels(self._rows[known]))
        return float(mean.max())

    def _fitted(self, values: Rows, prior: Prior) -> tuple[Surrogate, Rows] | None:
        """A surrogate of one figure and the rows it stands on; what runs counts as measured as expected."""
        known = np.flatnonzero(~np.isnan(values))
        if not len(known):
            return None
        options = self._options
        surrogate = Surrogate(self._encoding.parameters, prior=prior, steps=options.fit_steps)
        few = self._some(known, _MOST_FITTED)
        apart = self._encoding.apart(self._rows[few], self._rows[few])
        surrogate.fit(apart, values[few], self._variance[few])
        kept = self._some(known, options.most_points)
        rows, found, variance = self._rows[kept], values[kept], self._variance[kept]
        if len(kept) > len(few):
            surrogate.condition(self._encoding.apart(rows, rows), found, variance)
        if self._running.any():
            waiting = self._rows[self._running & np.isnan(values)]
            believed, _ = self._predicted((surrogate, rows), self._encoding.levels(waiting))
            rows = np.concatenate([rows, waiting])
            found, variance = np.concatenate([found, believed]), np.append(variance, np.ones(len(waiting)))
            surrogate.condition(self._encoding.apart(rows, rows), found, variance)
        return surrogate, rows

    def _predicted(self, fitted: tuple[Surrogate, Rows], levels: Levels) -> tuple[Rows, Rows]:
        surrogate, known = fitted
        return surrogate.predict(self._encoding.tables(known, levels), levels)

    def _some(self, known: Places, most: int) -> Places:
        """At most so many of them, drawn."""
        if len(known) <= most:
            return known
        return np.array(sorted(self._rng.sample(known.tolist(), most)), dtype=np.intp)


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
