"""What only the sections together can show to be wrong."""

from __future__ import annotations

import keyword
import math
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tuner.spec.accuracy_checks import accuracy_faults, loss_limit
from tuner.spec.cluster_checks import cluster_faults
from tuner.spec.expression import FUNCTIONS, ExpressionError
from tuner.spec.faults import Fault, Path, show, suggestion
from tuner.spec.hardware_checks import hardware_faults, metric_without_hardware, weights_faults
from tuner.spec.metrics import METRICS
from tuner.spec.percentiles import percentile_faults
from tuner.spec.rate_checks import rate_faults
from tuner.spec.search_checks import search_faults
from tuner.spec.space import MOST_POINTS, Space
from tuner.spec.validation_checks import validation_faults

if TYPE_CHECKING:
    from tuner.spec.experiment import Experiment

_LOOKED_AT = 200  # configurations on which expressions are tried when the file is read


def faults_of(experiment: Experiment) -> Iterator[Fault]:
    """Every fault that is found; `at` is the experiment's path."""
    yield from _model(experiment)
    yield from cluster_faults(experiment)
    yield from _port(experiment)
    yield from _window(experiment)
    yield from _metrics(experiment)
    yield from rate_faults(experiment)
    yield from search_faults(experiment)
    yield from percentile_faults(experiment)
    yield from validation_faults(experiment)
    yield from weights_faults(experiment)
    yield from accuracy_faults(experiment)
    names = list(_names(experiment))
    yield from names
    if names:
        return
    try:
        space = experiment.space
    except Fault as fault:
        yield fault
        return
    baseline = list(_baseline(experiment, space))
    yield from baseline
    yield from _expressions(experiment, space)
    if not baseline:
        yield from hardware_faults(experiment, space)


def _model(experiment: Experiment) -> Iterator[Fault]:
    model = experiment.model
    if experiment.deploy.backend == "local" and (model.path is None) == (model.synthetic is None):
        got = "neither path nor synthetic" if model.path is None else "both path and synthetic"
        yield Fault(
            got=got, right="one of them, such as `synthetic: {}` or `path: model.gguf`", at=("model",)
        )


def _port(experiment: Experiment) -> Iterator[Fault]:
    port, parallel = experiment.deploy.port, experiment.search.parallel
    if port is not None and isinstance(parallel, int) and parallel > 1:
        right = "a free port for each of the trials side by side: no port, or search.parallel: 1"
        yield Fault(got=str(port), right=right, at=("deploy", "port"))


def _window(experiment: Experiment) -> Iterator[Fault]:
    hours, load = experiment.search.hours, experiment.workload
    measuring = load.warmup_seconds + load.rounds * load.round_seconds * load.windows
    if hours is not None and measuring >= hours.shortest_seconds:
        right = f"at least {math.ceil(measuring / 60)} min: so long one trial is measured"
        yield Fault(got=show(experiment.search.window), right=right, at=("search", "window"))


def _metrics(experiment: Experiment) -> Iterator[Fault]:
    points = [p.name for p in experiment.workload.points]
    for index, goal in enumerate(experiment.objective):
        direction = "maximize" if goal.is_maximized else "minimize"
        at: Path = ("objective", index, direction)
        fault = _metric(goal.metric, points, at) or _needs(experiment, goal.metric, at)
        if fault is not None:
            yield fault
        elif (METRICS[goal.metric.rpartition(".")[2]].better == "higher") != goal.is_maximized:
            other = "minimize" if goal.is_maximized else "maximize"
            yield Fault(got=f"{direction}: {goal.metric}", right=f"{other}: {goal.metric}", at=at)
    repeated = [
        g.metric
        for i, g in enumerate(experiment.objective)
        if g.metric in [o.metric for o in experiment.objective[:i]]
    ]
    if repeated:
        yield Fault(got=f"{repeated[0]} twice", right="each metric once", at=("objective",))
    for name, limit in experiment.slo.items():
        fault = _metric(name, points, ("slo", name)) or _needs(experiment, name, ("slo", name))
        if fault is not None:
            yield fault
        elif limit < 0:
            yield Fault(got=f"{limit:g}", right="a limit from 0 on", at=("slo", name))


def _metric(name: str, points: list[str], at: Path) -> Fault | None:
    point, _, metric = name.rpartition(".")
    if metric not in METRICS:
        near = suggestion(metric, METRICS)
        return Fault(got=f"the unknown metric {name!r}", right=f"{point}.{near}" if point else near, at=at)
    if point and point not in points:
        right = f"a metric alone, or {suggestion(point, points)}.{metric}"
        return Fault(got=f"the unknown load point {point!r}", right=right, at=at)
    return None


def _needs(experiment: Experiment, name: str, at: Path) -> Fault | None:
    if fault := loss_limit(name, at):
        return fault
    if experiment.goodput is not None or METRICS[name.rpartition(".")[2]].kind != "goodput":
        return metric_without_hardware(experiment, name, at)
    right = "a section `goodput: {ttft_ms: 500, tpot_ms: 40}` with the limits of one request"
    return Fault(got=f"{name} without limits", right=right, at=at)


def _names(experiment: Experiment) -> Iterator[Fault]:
    targets: dict[str, str] = {}
    for name, parameter in experiment.parameters.items():
        at: Path = ("parameters", name)
        if (
            not name.isidentifier()
            or not name.isascii()
            or keyword.iskeyword(name)
            or name in (*FUNCTIONS, "true", "false")
        ):
            fitting = "".join(c if c.isalnum() and c.isascii() else "_" for c in name) or "name"
            fitting = fitting if fitting != name and fitting.isidentifier() else f"p_{fitting}"
            yield Fault(
                got=f"the name {name!r}", right=f"a word such as {fitting}, the flag in `flag:`", at=at
            )
        target = parameter.env or parameter.place or parameter.flag_name(name)
        if target in targets:
            yield Fault(
                got=f"{target}, as {targets[target]} has", right="a target of its own for each", at=at
            )
        targets[target] = name


def _baseline(experiment: Experiment, space: Space) -> Iterator[Fault]:
    found = False
    for name, value in experiment.baseline.items():
        at: Path = ("baseline", name)
        parameter = space.parameters.get(name)
        if parameter is None:
            found = True
            yield Fault(
                got="an unknown parameter", right=suggestion(name, space.parameters), at=at, unknown_key=True
            )
        elif not parameter.contains(value):
            found = True
            yield Fault(got=show(value), right=parameter.describe(), at=at)
        elif not space.is_active(name, experiment.baseline):
            found = True
            yield Fault(
                got=show(value), right=f"nothing here: '{parameter.when}' is not true of the baseline", at=at
            )
    if not found:
        for line in space.check(experiment.baseline):
            right = "a baseline that meets every constraint"
            if line.startswith("memory: "):
                right = "one that fits, or sizes as they are in model.facts and deploy.accelerator_memory_gib"
            yield Fault(got=line, right=right, at=("baseline",))


def _expressions(experiment: Experiment, space: Space) -> Iterator[Fault]:
    """Constraints that never have a value, and spaces that hold nothing."""
    rng = random.Random(0)
    drawn = [{n: p.sample(rng) for n, p in space.parameters.items()} for _ in range(_LOOKED_AT)]
    for index in range(len(experiment.constraints)):
        constraint, reasons = space.constraint(index), []
        for params in drawn:
            try:
                constraint.evaluate(params)
            except ExpressionError as error:
                reasons.append(str(error))
        if len(reasons) == len(drawn):
            yield Fault(got=reasons[0], right="an expression that has a value", at=("constraints", index))
    counts = [p.count() for p in space.parameters.values()]
    countable = all(c is not None for c in counts) and math.prod(c or 0 for c in counts) <= MOST_POINTS
    if countable and next(space.grid(), None) is None:
        memory = space.memory
        unfit = [line for p in drawn if memory is not None and (line := memory.refusal(space.active(p)))]
        got, right = "constraints that no configuration meets", "fewer or wider ones"
        at: Path = ("constraints",)
        if unfit:
            got, right = f"no configuration that fits; {unfit[0]}", "larger or more accelerators"
            at = ("deploy", "accelerator_memory_gib")
        yield Fault(got=got, right=right, at=at)
