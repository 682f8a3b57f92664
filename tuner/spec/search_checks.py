"""What does not go together in the `search` section, or with the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tuner.spec.faults import Fault, show

if TYPE_CHECKING:
    from tuner.spec.experiment import Experiment


def search_faults(experiment: Experiment) -> Iterator[Fault]:
    """Every fault that is found."""
    search = experiment.search
    runs = search.warm_start or ()
    for index, run in enumerate(runs):
        if run in runs[:index]:
            yield Fault(got=f"{show(run)} twice", right="each run once", at=("search", "warm_start", index))
    if search.minimum_gain is None:
        return
    got, at = f"{search.minimum_gain:g}", ("search", "minimum_gain")
    if search.sampler != "auto":
        right = f"without it, or sampler: auto: {search.sampler} does not say what is left to gain"
        yield Fault(got=got, right=right, at=at)
    elif len(experiment.objective) > 1:
        right = "without it: a share of several objectives is of none of them"
        yield Fault(got=f"{got} with {len(experiment.objective)} objectives", right=right, at=at)
