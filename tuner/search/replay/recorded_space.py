"""The part of an experiment's space that a surface has recorded: nothing else is ever proposed."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator, Mapping, Sequence

from tuner.spec import Experiment
from tuner.spec.parameter import Parameter
from tuner.spec.space import Params, Space
from tuner.spec.types.boolean import Boolean
from tuner.spec.types.choice import Choice
from tuner.trial.ports import ParamValue


class RecordedSpace(Space):
    """An experiment's space cut down to recorded configurations.

    Each parameter keeps only the values that were recorded: a range becomes the list of them where it has
    others too, so that a sampler does not spend its suggestions on what cannot be replayed.

    Args:
        recorded: every recorded configuration, valid in the experiment; partial ones (a baseline that leaves
            something to the engine) may be deployed and are no points of the space.
    """

    def __init__(self, experiment: Experiment, recorded: Sequence[Mapping[str, ParamValue]]) -> None:
        super().__init__(
            {name: _narrowed(p, name, recorded) for name, p in experiment.parameters.items()},
            experiment.constraints,
            accelerators=experiment.deploy.accelerators,
            baseline=experiment.baseline,
            memory=experiment.memory,
        )
        self._keys: frozenset[Hashable] = frozenset(self.key(params) for params in recorded)
        self._points = [self.active(params) for params in recorded if self.complete(params)]
        if self.memory is not None:
            self._points = [point for point in self._points if self.memory.refusal(point) is None]

    def check(self, params: Mapping[str, ParamValue]) -> list[str]:
        """See Space; what was not recorded is wrong too."""
        found = super().check(params)
        if not found and self.key(params) not in self._keys:
            shown = " ".join(f"{n}={v}" for n, v in self.active(params).items())
            found.append(f"the surface has no row for {shown or 'the engine’s defaults'}")
        return found

    def size(self) -> int | None:
        """How many complete configurations were recorded, those left out that certainly do not fit."""
        return len(self._points)

    def grid(self) -> Iterator[Params]:
        """They, in the order of the file."""
        return (dict(point) for point in self._points)

    def sample(self, rng: random.Random) -> Params:
        """One of them, each as likely as any other."""
        return dict(rng.choice(self._points))


def _narrowed(parameter: Parameter, name: str, recorded: Sequence[Mapping[str, ParamValue]]) -> Parameter:
    values = {params[name] for params in recorded if name in params}
    count = parameter.count()
    if not values or len(values) == count:
        return parameter
    if isinstance(parameter, Choice | Boolean):
        return parameter.model_copy(update={"values": tuple(v for v in parameter.values if v in values)})
    targets = {key: getattr(parameter, key) for key in ("flag", "env", "place", "when")}
    return Choice(values=tuple(sorted(values, key=float)), **targets)
