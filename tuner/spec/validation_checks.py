"""What does not go together in the `validation` section, or with the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tuner.spec.faults import Fault

if TYPE_CHECKING:
    from tuner.spec.experiment import Experiment


def validation_faults(experiment: Experiment) -> Iterator[Fault]:
    """Every fault that is found."""
    loads = experiment.validation.loads
    for index, load in enumerate(loads):
        at = ("validation", "loads", index)
        if load == 1:
            yield Fault(got="1", right="another multiple: the rounds are at 1", at=at)
        elif load in loads[:index]:
            yield Fault(got=f"{load:g} twice", right="each multiple once", at=at)
        for point in experiment.workload.points if load != 1 else ():
            kind = "trace" if point.trace is not None else "rate_search" if point.rate_search else ""
            if kind:
                right = f"without it: a load point with a {kind} has no load of its own to multiply"
                yield Fault(got=f"{load:g} with the {kind} of {point.name}", right=right, at=at)
            elif point.concurrency is not None and point.at(load).concurrency == point.concurrency:
                right = "a multiple that leaves another whole number in flight"
                yield Fault(got=f"{load:g} of {point.concurrency} in flight", right=right, at=at)
