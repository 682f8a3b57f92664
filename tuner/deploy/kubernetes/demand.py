"""What a search as a whole asks of a cluster, by its space: the widest trial, trials at once, places."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress

from tuner.deploy.kubernetes.offline import trial_of
from tuner.deploy.kubernetes.wanted import Demand
from tuner.errors import SpecError
from tuner.spec import Experiment
from tuner.spec.cluster_checks import SUBPATH
from tuner.spec.space import Params, Space

_ALL_LOOKED_AT = 20_000  # configurations; of more, or of a continuous space, a sample
_SAMPLE = 1_000


def demand_of(experiment: Experiment) -> Demand:
    """By every configuration where they can be listed, else by the baseline and a thousand draws."""
    space, search = experiment.space, experiment.search
    counts: dict[int, Params] = {}
    for params in _configurations(space):
        with suppress(SpecError):  # what deploy.accelerators cannot be told for is refused as a trial
            counts.setdefault(space.accelerators(params), params)
    widest = counts[max(counts)] if counts else space.baseline
    return Demand(
        parallel=None if search.parallel == "auto" else min(search.parallel, search.trials),
        fewest=min(counts, default=0),
        widest=trial_of(experiment, widest, run="preflight"),
        subpaths=tuple(_subpaths(experiment)),
    )


def _configurations(space: Space) -> Iterator[Params]:
    yield space.baseline
    size = space.size()
    if size is not None and size <= _ALL_LOOKED_AT:
        yield from space.grid()
        return
    rng = random.Random(0)
    with suppress(SpecError):  # constraints that leave too little are the search's to say
        for _ in range(_SAMPLE):
            yield space.sample(rng)


def _subpaths(experiment: Experiment) -> Iterator[str]:
    storage = experiment.storage
    if storage is None or storage.type != "pvc":
        return
    varied = [p for p in experiment.parameters.values() if p.place == SUBPATH]
    for parameter in varied:
        yield from (str(value) for value in parameter.grid() or ())
    if not varied and storage.pvc_subpath:
        yield storage.pvc_subpath
