"""How many requests a percentile takes, and load points that surely send too few of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tuner.spec.faults import Fault, Path
from tuner.spec.metrics import METRICS

if TYPE_CHECKING:
    from tuner.spec.experiment import Experiment
    from tuner.spec.workload import LoadPoint

CONFIDENCE = 0.95
_PER_REQUEST = ("ttft", "tpot", "e2e")  # an itl has many observations in each


def fewest(quantile: float) -> int:
    """The fewest independent observations that bound a quantile from above, with 95 %.

    Of n the largest lies below the true q-quantile with probability q^n: 59 for a p95, 299 for a p99.
    """
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(quantile))


def percentile_faults(experiment: Experiment) -> Iterator[Fault]:
    """Percentiles of which the rounds of a trial surely hold too few requests; `at` is the experiment's path.

    Only where the rate is given: in a closed loop the engine decides how many there are.
    """
    asked: list[tuple[str, Path]] = [(name, ("slo", name)) for name in experiment.slo]
    for index, goal in enumerate(experiment.objective):
        asked.append((goal.metric, ("objective", index, "maximize" if goal.is_maximized else "minimize")))
    load = experiment.workload
    seconds = load.rounds * load.round_seconds
    for name, at in asked:
        point_name, _, metric = name.rpartition(".")
        quantile = METRICS[metric].quantile if metric in METRICS else None
        if quantile is None or not metric.startswith(_PER_REQUEST):
            continue
        for point in load.points:
            if point_name in ("", point.name) and (sent := requests_sent(point, seconds)) < fewest(quantile):
                needed = fewest(quantile)
                right = (
                    f"{needed} requests or more, by {math.ceil(needed * seconds / sent)} s of rounds in all, "
                    "or a lower percentile"
                )
                got = f"{metric} of {sent:.0f} requests, which {point.name} sends in {seconds:g} s of rounds"
                yield Fault(got=got, right=right, at=at)
                break


def requests_sent(point: LoadPoint, seconds: float) -> float:
    """On the mean in so many seconds of rounds; infinite where the engine decides, or rates are searched."""
    if point.request_rate is None or point.rate_search is not None:
        return math.inf
    return point.level.mean * point.mean_turns * seconds
