"""What is wrong with accelerators and prices, and with the metrics that stand on them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from tuner.errors import SpecError
from tuner.spec.faults import Fault, Path, suggestion
from tuner.spec.hardware import shown
from tuner.spec.metrics import METRICS
from tuner.spec.section import ParamValue
from tuner.spec.space import Space

if TYPE_CHECKING:
    from tuner.spec.experiment import Experiment

_LOOKED_AT = 200  # configurations on which expressions are tried when the file is read
_PER_ONE = "_per_accelerator"


def metric_without_hardware(experiment: Experiment, name: str, at: Path) -> Fault | None:
    """Why a metric per accelerator, or one of cost, can never be told; None where it can."""
    metric = METRICS[name.rpartition(".")[2]]
    deploy = experiment.deploy
    if metric.kind == "accelerators" and deploy.accelerators == 0:
        right = f"{name.removesuffix(_PER_ONE)}, or deploy.accelerators: how many one deployment takes"
        return Fault(got=f"{name} where deploy.accelerators is 0", right=right, at=at)
    if metric.kind == "price" and deploy.price_per_hour is None and not experiment.prices:
        right = "with deploy.price_per_hour, the price of one accelerator for an hour, such as 2.5"
        return Fault(got=f"{name} without a price", right=right, at=at)
    return None


def hardware_faults(experiment: Experiment, space: Space) -> Iterator[Fault]:
    """What expressions of accelerators and price give for the baseline and for samples of the space."""
    deploy = experiment.deploy
    if isinstance(deploy.accelerators, str):
        yield from _tried(space, ("deploy", "accelerators"), _counter(experiment, space))
    if isinstance(deploy.price_per_hour, str):
        yield from _tried(space, ("deploy", "price_per_hour"), space.price_per_hour)


def weights_faults(experiment: Experiment) -> Iterator[Fault]:
    """`model.facts.weights_gb` that does not tell the model's variants apart, or tells others."""
    given = experiment.model.facts.weights_gb if experiment.model.facts is not None else None
    chosen = [p for p in experiment.parameters.values() if p.place == "storage.pvc_subpath"]
    fixed = experiment.storage.pvc_subpath if experiment.storage is not None else None
    variants = [str(v) for p in chosen for v in p.grid() or ()] or ([fixed] if fixed else [])
    at: Path = ("model", "facts", "weights_gb")
    if isinstance(given, dict):
        for name in given:
            if name not in variants:
                right = (
                    suggestion(name, variants) if variants else "a number: there is no storage.pvc_subpath"
                )
                got = "a variant that storage.pvc_subpath does not name"
                yield Fault(got=got, right=right, at=(*at, name))
    elif given is not None and len(variants) > 1:
        right = f"one for each variant, such as {{{variants[0]}: {given:g}}}"
        yield Fault(got=f"{given:g} for {len(variants)} variants", right=right, at=at)


def _counter(experiment: Experiment, space: Space) -> Callable[[Mapping[str, ParamValue]], object]:
    """Counts; where a metric or a price is for each accelerator, none is as wrong as half a one."""
    asked = [*(g.metric for g in experiment.objective), *experiment.slo]
    kinds = {m: METRICS[name].kind for m in asked if (name := m.rpartition(".")[2]) in METRICS}
    per_one = [m for m, kind in kinds.items() if kind in ("accelerators", "price")]
    if not per_one:
        return space.accelerators

    def counted(params: Mapping[str, ParamValue]) -> int:
        found = space.accelerators(params)
        if not found:
            given = shown(space.active(params))
            right = f"at least 1, since {per_one[0]} is told by accelerators"
            raise SpecError(f"deploy.accelerators: got 0 for {given}; would be right: {right}")
        return found

    return counted


def _tried(space: Space, at: Path, value: Callable[[Mapping[str, ParamValue]], object]) -> Iterator[Fault]:
    rng = random.Random(0)
    try:
        value(space.baseline)
    except SpecError as error:
        yield from _fault(error, at, "for the baseline, ")
        return
    try:
        for _ in range(_LOOKED_AT):
            value(space.sample(rng))
    except SpecError as error:
        yield from _fault(error, at, "")


def _fault(error: SpecError, at: Path, of: str) -> Iterator[Fault]:
    """The error as a fault of `at`; what another key is the cause of is told there."""
    where = ".".join(map(str, at))
    if not str(error).startswith(where):
        return
    text = str(error).removeprefix(f"{where}: ").removeprefix("got ")
    got, _, right = text.partition("; would be right: ")
    yield Fault(got=of + got, right=right or "an expression that has a value", at=at)
