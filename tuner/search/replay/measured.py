"""What a replayed round is: recorded figures with noise, and the Score that an objective makes of them.

Noise. Of a trial of R rounds with a relative standard deviation c (`noise_cv`), half the variance belongs to
the deployment and is common to its rounds, half to the rounds: each figure is its true value times a factor
of the deployment with the variance c^2/2 and one of each round with R c^2/2, so that the mean of R rounds has
c. Factors are log-normal with mean 1, seeded by (seed, trial, phase, attempt), and drawn for each metric by
itself; output tokens per second and what follows from them (per accelerator, cost) have one in common. Where
rounds were recorded one by one their own differences stand for the second factor.

A round also knows how far its own parts lay apart (the scatter of PARTS equal parts whose mean it is), which
is what a real round's histograms and batch means tell.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, pstdev

from tuner.search.history import Key
from tuner.search.replay.surface import Row
from tuner.spec.metrics import METRICS
from tuner.trial.objective import UNKNOWN, Goal, Interval, t_interval, violation
from tuner.trial.ports import Score
from tuner.trial.rounds import RoundResult
from tuner.trial.student_t import NORMAL_975, t_975

PARTS = 10  # of a round; what its own scatter is judged by
DEPLOYMENT_SHARE = 0.5  # of a whole trial's variance
_OUTPUT_RATE = "output rate"
SHARES = ("error_rate", "goodput_share", "kv_cache_use_mean", "kv_cache_use_max", "prefix_cache_hit_rate")


@dataclass(frozen=True, slots=True)
class RecordedRound(RoundResult):
    """A round without load points: `metrics` by name, `errors` the standard error of each by its parts."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)


class Measurement:
    """The rounds of one deployment of a row, drawn one after another.

    Args:
        rounds: of a whole trial, which `noise_cv` is about.
        round_seconds: wall time of each.
    """

    def __init__(self, row: Row, *, seed: int, key: Key, rounds: int, round_seconds: float) -> None:
        trial, phase, attempt = key
        self._row = row
        self._rng = random.Random(f"{seed}/{trial}/{phase}/{attempt}")
        self._round_seconds = round_seconds
        variance = row.noise_cv**2
        self._between_rounds = 0.0 if row.by_round else math.sqrt((1 - DEPLOYMENT_SHARE) * variance * rounds)
        between_trials = math.sqrt(DEPLOYMENT_SHARE * variance)
        self._causes = {m: _cause(m) for m in row.truth}
        self._factors = self._drawn(between_trials)
        self._scatter = {m: self._recorded_scatter(m) for m in row.truth}

    def rounds(self, count: int, started: float) -> Iterator[RecordedRound]:
        """`count` rounds from `started` on; recorded ones are taken in order, and again from the first."""
        for number in range(1, count + 1):
            recorded = self._row.rounds[(number - 1) % len(self._row.rounds)]
            metrics: dict[str, float] = {}
            errors: dict[str, float] = {}
            factors, luck = self._drawn(self._between_rounds), self._luck()
            for metric, value in recorded.items():
                figure = value * self._factors[metric] * factors[metric]
                metrics[metric] = min(figure, 1.0) if metric.rpartition(".")[2] in SHARES else figure
                errors[metric] = figure * self._scatter[metric] * luck[self._causes[metric]]
            begun = started + (number - 1) * self._round_seconds
            yield RecordedRound(number, begun, self._round_seconds, (), metrics=metrics, errors=errors)

    def _drawn(self, cv: float) -> dict[str, float]:
        """A factor for each metric; one that falls when its cause rises has the inverse."""
        drawn = {cause: self._factor(cv) for cause in dict.fromkeys(self._causes.values())}
        return {m: 1 / drawn[c] if _falls(m, c) else drawn[c] for m, c in self._causes.items()}

    def _factor(self, cv: float) -> float:
        if not cv:
            return 1.0
        variance = math.log1p(cv * cv)
        return math.exp(self._rng.gauss(0.0, math.sqrt(variance)) - variance / 2)

    def _luck(self) -> dict[str, float]:
        """Estimated standard deviations over the true ones, by cause: PARTS parts estimate them so."""
        return {
            cause: math.sqrt(self._rng.gammavariate((PARTS - 1) / 2, 2.0) / (PARTS - 1))
            for cause in dict.fromkeys(self._causes.values())
        }

    def _recorded_scatter(self, metric: str) -> float:
        """The relative standard deviation of a round around its deployment's own figure."""
        truth = self._row.truth[metric]
        if not self._row.by_round or not truth:
            return self._between_rounds
        recorded = [r[metric] for r in self._row.rounds]
        return pstdev(recorded) * math.sqrt(len(recorded) / (len(recorded) - 1)) / truth


def _cause(metric: str) -> str:
    """What a metric's noise is the noise of: itself, or the output rate."""
    return _OUTPUT_RATE if METRICS[metric.rpartition(".")[2]].of_output_rate else metric


def _falls(metric: str, cause: str) -> bool:
    return cause == _OUTPUT_RATE and METRICS[metric.rpartition(".")[2]].better == "lower"


@dataclass(frozen=True, slots=True)
class RecordedObjective:
    """The experiment's objective on recorded rounds; the meaning of each field is that of MergedObjective.

    A figure is the mean over the rounds so far. The interval of a percentile comes from the parts of all
    rounds, that of anything else from the rounds (Student's t), of output tokens per second and what follows
    from them in a single round from its parts.
    """

    goals: tuple[Goal, ...]
    slos: Mapping[str, float]

    def score(self, rounds: Sequence[RoundResult]) -> Score:
        """See `tuner.trial.ports.Objective`; every round is a RecordedRound."""
        recorded = [r for r in rounds if isinstance(r, RecordedRound)]
        count = len(recorded)
        metrics = {m: sum(r.metrics[m] for r in recorded) / count for m in recorded[0].metrics}
        return Score(
            values=tuple(metrics[g.metric] for g in self.goals),
            intervals=tuple(_interval(g.metric, recorded) for g in self.goals),
            violations={m: violation(m, metrics[m], limit) for m, limit in self.slos.items()},
            certain_violations={
                m: violation(m, _kinder_end(m, recorded), limit, unknown=-1.0)
                for m, limit in self.slos.items()
            },
            metrics=metrics,
        )


def _interval(name: str, rounds: Sequence[RecordedRound]) -> Interval:
    metric, count = METRICS[name.rpartition(".")[2]], len(rounds)
    figures = [r.metrics[name] for r in rounds]
    if metric.quantile is not None:
        middle = fmean(figures)
        half = NORMAL_975 * math.sqrt(sum(r.errors[name] ** 2 for r in rounds)) / count
        return max(0.0, middle - half), middle + half
    if count == 1:
        if not metric.of_output_rate:
            return UNKNOWN
        half = t_975(PARTS - 1) * rounds[0].errors[name]
        return figures[0] - half, figures[0] + half
    return t_interval(figures)


def _kinder_end(name: str, rounds: Sequence[RecordedRound]) -> float:
    low, high = _interval(name, rounds)
    return high if METRICS[name.rpartition(".")[2]].better == "higher" else low
