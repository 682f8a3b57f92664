"""The plan's words on percentiles: how many requests each takes, and whether they come."""

from __future__ import annotations

import math

from tuner.spec import Experiment
from tuner.spec.metrics import METRICS
from tuner.spec.percentiles import fewest, requests_sent
from tuner.spec.workload import LoadPoint

ABOVE = 5  # observations above a percentile that make it worth stating


def percentile_lines(experiment: Experiment) -> list[str]:
    """A line for each percentile that is asked for and may not stand on enough requests.

    Where the rate is given, too few for any bound are refused when the file is read; see
    `tuner.spec.percentiles`.
    """
    asked = [*experiment.slo, *(g.metric for g in experiment.objective)]
    lines = []
    for name in dict.fromkeys(asked):
        quantile = METRICS[name.rpartition(".")[2]].quantile
        if quantile is None:
            continue
        for point in experiment.workload.points:
            if "." in name and name.partition(".")[0] != point.name:
                continue
            lines += _of_point(experiment, point, name, quantile)
    return list(dict.fromkeys(lines))


def _of_point(experiment: Experiment, point: LoadPoint, name: str, quantile: float) -> list[str]:
    load = experiment.workload
    needed, seconds = math.ceil(ABOVE / (1 - quantile) - 1e-9), load.rounds * load.round_seconds
    if point.rate_search is not None:
        least = needed / load.round_seconds
        return [f"{name} needs {needed} requests a probe: below {least:.3g}/s it has fewer"]
    if point.request_rate is None:
        said = f"{name} needs {needed} requests a trial: {needed / seconds:.1f} per second"
        return [f"{said}; a slower configuration is judged on fewer{_unshown(experiment, name, quantile)}"]
    sent = requests_sent(point, seconds)
    if sent >= needed:
        return []
    return [f"{name} needs {needed} requests, {point.name} sends {sent:.0f}: the rounds are too short for it"]


def _unshown(experiment: Experiment, name: str, quantile: float) -> str:
    """Of an SLO: what is too slow for the validation to bound its percentile."""
    v, load = experiment.validation, experiment.workload
    if not v.enabled or name not in experiment.slo:
        return ""
    seconds = v.deployments * (v.rounds or load.rounds) * load.round_seconds
    return f", and below {fewest(quantile) / seconds:.2g} per second it cannot be shown to keep the limit"
