"""What must hold together where the highest rate under the SLOs is searched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tuner.spec.faults import Fault, Path
from tuner.spec.metrics import MAX_REQUEST_RATE, METRICS

if TYPE_CHECKING:
    from tuner.spec.experiment import Experiment

_RANGE = "rate_search: {low: 1, high: 200}"
_JUDGED = "a percentile such as ttft_p95_ms, error_rate or goodput_share"


def rate_faults(experiment: Experiment) -> Iterator[Fault]:
    """Every fault that is found; `at` is the experiment's path. Metrics are known ones by now."""
    yield from _slos(experiment)
    points = experiment.workload.points
    searched = [index for index, point in enumerate(points) if point.rate_search is not None]
    wanted = [
        (("objective", index, "maximize"), goal)
        for index, goal in enumerate(experiment.objective)
        if goal.metric.rpartition(".")[2] == MAX_REQUEST_RATE
    ]
    if not wanted:
        for index in searched:
            right = f"without it, or objective: {{maximize: {MAX_REQUEST_RATE}}}"
            got = f"rate_search with objective {', '.join(g.metric for g in experiment.objective)}"
            yield Fault(got=got, right=right, at=_of_point(index))
        return
    at, goal = wanted[0]
    if goal.metric != MAX_REQUEST_RATE:
        yield Fault(got=goal.metric, right=f"{MAX_REQUEST_RATE}: there is one load point", at=at)
    if len(experiment.objective) > 1:
        others = ", ".join(g.metric for g in experiment.objective if g is not goal)
        right = f"{MAX_REQUEST_RATE} alone: each probe has a rate, and so other figures, of its own"
        yield Fault(got=f"{MAX_REQUEST_RATE} beside {others}", right=right, at=("objective",))
    if len(points) > 1:
        right = "one load point, with a rate_search"
        yield Fault(got=f"{len(points)} load points", right=right, at=("workload", "points"))
    elif not searched:
        right = f"workload.{_RANGE} in place of concurrency or request_rate"
        yield Fault(got=f"{goal.metric} without a range of rates", right=right, at=at)
    if not experiment.slo:
        yield Fault(
            got=f"{goal.metric} without a limit", right="slo: {ttft_p95_ms: 500, error_rate: 0.01}", at=at
        )


def _slos(experiment: Experiment) -> Iterator[Fault]:
    searched = any(point.rate_search is not None for point in experiment.workload.points)
    for name, limit in experiment.slo.items():
        metric = METRICS.get(name.rpartition(".")[2])
        at: Path = ("slo", name)
        if metric is None:
            continue
        if metric.name == MAX_REQUEST_RATE:
            right = f"objective: {{maximize: {MAX_REQUEST_RATE}}}"
            yield Fault(got=f"a limit of {MAX_REQUEST_RATE}", right=right, at=at)
        elif not searched:
            continue
        elif metric.quantile is None and metric.name not in ("error_rate", "goodput_share"):
            yield Fault(got=f"{name}, which a probe cannot judge", right=_JUDGED, at=at)
        elif metric.quantile is None and not 0 < limit < 1:
            right = f"above 0 and below 1, such as {0.01 if metric.better == 'lower' else 0.99}"
            yield Fault(got=f"{limit:g}", right=right, at=at)
        elif limit == 0:
            yield Fault(got="0", right="a limit above 0", at=at)


def _of_point(index: int) -> Path:
    return ("workload", "points", index, "rate_search")
