"""Rounds -> Score: counts summed, histograms merged, intervals, and how far each SLO is missed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from tuner.spec.metrics import METRICS, Metric, Totals
from tuner.trial.batch_means import widening
from tuner.trial.engine_totals import merged_engine
from tuner.trial.histogram import Histogram
from tuner.trial.losses import LOSSES, with_losses
from tuner.trial.ports import Score
from tuner.trial.quantile_bound import clustered_rank, design_effect
from tuner.trial.rate_score import score_of_rates
from tuner.trial.rounds import HISTOGRAMS, PointResult, RoundResult
from tuner.trial.student_t import NORMAL_975, t_975

NOT_MEASURED = 10.0  # the violation of an SLO whose metric could not be told: ten limits beyond
Interval = tuple[float, float]
UNKNOWN: Interval = (math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Goal:
    """One objective: a metric, with or without a load point, and its direction."""

    metric: str
    maximize: bool


@dataclass(frozen=True, slots=True)
class MergedObjective:
    """The objective of an experiment.

    Attributes:
        goals: what is optimised; without a load point a goal is the geometric mean over the points.
        slos: metric -> limit; without a load point the worst point must meet it.
    """

    goals: tuple[Goal, ...]
    slos: Mapping[str, float]

    def score(self, rounds: Sequence[RoundResult]) -> Score:
        """See `Objective.score`.

        Client-bound, invalid and contaminated rounds are left out; with no other the figures are those of
        all rounds and `measured` is False. So it is where an objective is not known, and where an SLO stands
        on a metric that the engine does not offer: what nobody sees is never met. Rounds of a search over
        rates are scored by `score_of_rates`, limits on what answers lost by `with_losses`.
        """
        if lost := {m: limit for m, limit in self.slos.items() if m in LOSSES}:
            others = replace(self, slos={m: v for m, v in self.slos.items() if m not in lost})
            return with_losses(others.score(rounds), rounds, lost, violation)
        if any(r.rates is not None for r in rounds):
            return score_of_rates(
                rounds, slos=tuple(self.slos), figures=self._figures, violation=self._violation
            )
        usable = [r for r in rounds if r.usable]
        counted = usable or list(rounds)
        points = _by_point(p for r in counted for p in r.points)
        metrics = self._metrics({name: totals(found) for name, found in points.items()})
        violations = {m: self._violation(m, _worst_point(m, points, metrics)) for m in self.slos}
        certain = {m: self._violation(m, self._kinder_end(m, points), unknown=-1.0) for m in self.slos}
        values = tuple(metrics[g.metric] for g in self.goals)
        unoffered = self._unoffered(points, metrics)
        reason = _why_unusable(rounds) if not usable else self._untold(unoffered, metrics)
        return Score(
            values=values,
            intervals=tuple(self._interval(g.metric, points, geometric=True) for g in self.goals),
            violations=violations,
            certain_violations=certain,
            bound_violations={m: self._violation(m, b) for m, b in self._bounds(points).items()},
            metrics={k: v for k, v in metrics.items() if not math.isnan(v)},
            measured=not reason,
            reason=reason,
            unoffered=unoffered,
        )

    def _figures(self, results: Sequence[PointResult]) -> dict[str, float]:
        return self._metrics({name: totals(found) for name, found in _by_point(results).items()})

    def _unoffered(self, points: Iterable[str], metrics: Mapping[str, float]) -> tuple[str, ...]:
        return tuple(
            m
            for m in dict.fromkeys([*self.slos, *(g.metric for g in self.goals)])
            if _metric(m).kind == "engine" and math.isnan(_worst_point(m, points, metrics))
        )

    def _untold(self, unoffered: Sequence[str], metrics: Mapping[str, float]) -> str:
        """What cannot be told and has to be; "" for nothing."""
        if unoffered:
            return f"the engine does not offer {', '.join(unoffered)}, which slo or objective names"
        unknown = [g.metric for g in self.goals if math.isnan(metrics[g.metric])]
        return f"{', '.join(unknown)} cannot be told" if unknown else ""

    def _metrics(self, points: Mapping[str, Totals]) -> dict[str, float]:
        found = {f"{p}.{m.name}": m.formula(t) for p, t in points.items() for m in METRICS.values()}
        over_points = {g.metric for g in self.goals}
        for metric in METRICS.values():
            values = [found[f"{p}.{metric.name}"] for p in points]
            found[metric.name] = _geometric(values) if metric.name in over_points else _worst(metric, values)
        return found

    def _violation(self, name: str, value: float, *, unknown: float = NOT_MEASURED) -> float:
        return violation(name, value, self.slos[name], unknown=unknown)

    def _bounds(self, points: Mapping[str, list[PointResult]]) -> dict[str, float]:
        """The upper bound of each percentile that an SLO stands on; of several load points the highest."""
        found: dict[str, float] = {}
        for name in self.slos:
            metric, named = _metric(name), name.rpartition(".")[0]
            if metric.quantile is None:
                continue
            chosen = [results for point, results in points.items() if named in ("", point)]
            found[name] = max((upper_bound(metric, results) for results in chosen), default=math.inf)
        return found

    def _kinder_end(self, name: str, points: Mapping[str, list[PointResult]]) -> float:
        low, high = self._interval(name, points, geometric=False)
        return high if _metric(name).better == "higher" else low

    def _interval(self, name: str, points: Mapping[str, list[PointResult]], *, geometric: bool) -> Interval:
        metric = _metric(name)
        if "." in name:
            chosen = points.get(name.partition(".")[0])
            return interval(metric, chosen) if chosen else UNKNOWN
        ends = [interval(metric, found) for found in points.values()]
        lows, highs = [low for low, _ in ends], [high for _, high in ends]
        if geometric:
            return _geometric(lows), _geometric(highs)
        return _worst(metric, lows), _worst(metric, highs)


def violation(name: str, value: float, limit: float, *, unknown: float = NOT_MEASURED) -> float:
    """How far `value` of the metric `name` lies beyond `limit`, as a share of it; `unknown` for NaN."""
    if math.isnan(value):
        return unknown
    beyond = limit - value if _metric(name).better == "higher" else value - limit
    return beyond / limit if limit else beyond


def _why_unusable(rounds: Sequence[RoundResult]) -> str:
    words = dict.fromkeys(word for one in rounds for word in one.unusable)
    return f"no round may be trusted: {', '.join(words)}"


def totals(results: Sequence[PointResult]) -> Totals:
    """The sums and merged histograms of one load point's results (at least one)."""
    merged = {name: Histogram() for name in HISTOGRAMS}
    for result in results:
        for name, histogram in result.histograms.items():
            merged[name].merge(histogram)
    return Totals(
        window_seconds=sum(r.window_seconds for r in results),
        requests=sum(r.requests for r in results),
        failed=sum(sum(r.errors.values()) for r in results),
        output_tokens=sum(r.output_tokens for r in results),
        input_tokens=sum(r.input_tokens for r in results),
        histograms=merged,
        good=None if any(r.good is None for r in results) else sum(r.good or 0 for r in results),
        late=sum(r.late for r in results),
        engine=merged_engine(results),
        accelerators=results[0].accelerators,
        price_per_hour=results[0].price_per_hour,
    )


def interval(metric: Metric, results: Sequence[PointResult]) -> Interval:
    """The 95 % interval of `metric` for one load point.

    A percentile's is that of its order statistics (ranks n q -+ 1.96 sqrt(n q (1-q))); of anything else,
    Student's t over the rounds, or in a single round, for output tokens per second and what follows from
    them, over its parts (batch means, widened where the parts hang together). (nan, nan) where there is too
    little to tell.
    """
    if metric.quantile is not None:
        return _quantile_interval(_histogram(metric, results), metric.quantile)
    batches = [metric.formula(totals([r])) for r in results]
    if len(results) == 1 and metric.of_output_rate:
        return _interval_of_parts(metric, results[0])
    return t_interval([b for b in batches if not math.isnan(b)])


def upper_bound(metric: Metric, results: Sequence[PointResult]) -> float:
    """The one-sided 95 % upper bound of a percentile for one load point; infinite with too few requests."""
    assert metric.quantile is not None
    merged, estimate = _histogram(metric, results), math.nan
    if merged.count:
        estimate = merged.quantile(metric.quantile)
    rounds = [_histogram(metric, [result]) for result in results]
    effect = design_effect([(one.count, one.count_above(estimate)) for one in rounds if one.count])
    rank = clustered_rank(merged.count, metric.quantile, effect)
    return math.inf if rank is None else merged.at_rank(rank)


def _histogram(metric: Metric, results: Sequence[PointResult]) -> Histogram:
    """What a percentile is read from, merged."""
    merged = Histogram()
    for result in results:
        if (own := result.histograms.get(f"{metric.name.rsplit('_', 2)[0]}_ms")) is not None:
            merged.merge(own)
    return merged


def _interval_of_parts(metric: Metric, result: PointResult) -> Interval:
    """The rate's interval, each end taken over to `metric`, which rises or falls with the rate."""
    low, high = t_interval(result.parts, wider=widening(result.parts))
    whole = totals([result])
    at_low, at_high = (metric.formula(whole.at_output_rate(end)) for end in (low, high))
    if metric.better == "higher" or math.isnan(at_high):
        return at_low, at_high
    return at_high, at_low if low > 0 else math.inf  # what delivers nothing has no bound of cost


def _quantile_interval(histogram: Histogram, q: float) -> Interval:
    n = histogram.count
    if not n:
        return UNKNOWN
    spread = NORMAL_975 * math.sqrt(n * q * (1 - q))
    low, high = max(0.0, (n * q - spread) / n), (n * q + spread) / n
    return histogram.quantile(low), histogram.quantile(high) if high <= 1 else math.inf


def t_interval(batches: Sequence[float], *, wider: float = 1.0) -> Interval:
    """The 95 % interval of the mean of independent batches by Student's t; unknown for fewer than two."""
    if len(batches) < 2:
        return UNKNOWN
    half = wider * t_975(len(batches) - 1) * stdev(batches) / math.sqrt(len(batches))
    middle = fmean(batches)
    return middle - half, middle + half


def _worst_point(name: str, points: Iterable[str], metrics: Mapping[str, float]) -> float:
    if "." in name:
        return metrics.get(name, math.nan)
    return _worst(_metric(name), [metrics[f"{p}.{name}"] for p in points])


def _metric(name: str) -> Metric:
    return METRICS[name.rpartition(".")[2]]


def _by_point(results: Iterable[PointResult]) -> dict[str, list[PointResult]]:
    found: dict[str, list[PointResult]] = {}
    for result in results:
        found.setdefault(result.point, []).append(result)
    return found


def _geometric(values: Sequence[float]) -> float:
    if any(math.isnan(v) for v in values):
        return math.nan
    if any(v <= 0 for v in values):
        return 0.0
    return math.exp(fmean(math.log(v) for v in values))


def _worst(metric: Metric, values: Sequence[float]) -> float:
    if any(math.isnan(v) for v in values):
        return math.nan
    return min(values) if metric.better == "higher" else max(values)
