"""The valid configurations among which the next one is chosen: the whole grid, or draws and neighbours."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np

from tuner.search.auto.encoding import Encoding, Places, Rows
from tuner.spec.space import Params, Space
from tuner.trial.ports import ParamValue

WHOLE_GRID = 20_000  # configurations up to which all of them are kept
AT_ONCE = 1_500  # configurations that are judged at each suggestion
_DRAWN = 600
_AROUND = 4  # of the best, whose neighbours are always judged


class Candidates:
    """Grows by what is drawn where the grid is too large; what was tried is left out."""

    def __init__(self, space: Space, encoding: Encoding) -> None:
        self._space = space
        self._encoding = encoding
        size = space.size()
        self._whole = size is not None and size <= WHOLE_GRID
        self.params: list[Params] = []
        self._place: dict[Hashable, int] = {}
        self.rows: Rows = np.zeros((0, len(encoding.owner)))
        self._taken: set[int] = set()
        if self._whole:
            self._add(space.grid())

    def take(self, params: Mapping[str, ParamValue]) -> None:
        """This one was tried or is being tried."""
        place = self._place.get(_identity(self._space.active(params)))
        if place is not None:
            self._taken.add(place)
        elif not self._whole:
            self._add([self._space.active(params)])
            self._taken.add(len(self.params) - 1)

    def judged(self, rng: random.Random, best: Sequence[Mapping[str, ParamValue]]) -> Places:
        """Places in `params` and `rows` of those among which to choose now; empty when none is left."""
        if not self._whole:
            self._forget()
            drawn = [self._space.sample(rng) for _ in range(_DRAWN)]
            self._add(drawn)
        if len(self.params) - len(self._taken) <= AT_ONCE and self._whole:
            return self._free()
        near = [self._place_of(p) for one in best[:_AROUND] for p in self._neighbours(one, rng)]
        free = self._free().tolist()
        if len(free) > AT_ONCE:
            kept = {i for i in near if i not in self._taken}
            kept.update(rng.sample(free, AT_ONCE - min(AT_ONCE // 2, len(kept))))
            free = sorted(kept)
        return np.array(free, dtype=np.intp)

    def _free(self) -> Places:
        free = np.ones(len(self.params), dtype=bool)
        free[list(self._taken)] = False
        return np.flatnonzero(free)

    def _forget(self) -> None:
        """Draws of earlier suggestions go; what was tried stays."""
        kept = [self.params[i] for i in sorted(self._taken)]
        self.params, self._place, self._taken = [], {}, set()
        self.rows = self.rows[:0]
        self._add(kept)
        self._taken = set(range(len(kept)))

    def _place_of(self, params: Params) -> int:
        place = self._place.get(_identity(params))
        if place is None:
            self._add([params])
            place = len(self.params) - 1
        return place

    def _add(self, configurations: Iterable[Params]) -> None:
        new = []
        for params in configurations:
            identity = _identity(params)
            if identity not in self._place:
                self._place[identity] = len(self.params)
                self.params.append(params)
                new.append(params)
        if new:
            self.rows = np.concatenate([self.rows, self._encoding.rows(new)])

    def _neighbours(self, params: Mapping[str, ParamValue], rng: random.Random) -> list[Params]:
        """Valid configurations that differ from `params` in one parameter and in what that switches."""
        found = []
        for name, parameter in self._space.parameters.items():
            values = parameter.grid() if (parameter.count() or 10**9) <= 24 else None
            for value in values if values is not None else [parameter.sample(rng) for _ in range(12)]:
                if params.get(name) == value:
                    continue
                changed = self._completed({**params, name: value}, rng)
                if self._space.valid(changed):
                    found.append(changed)
        return found

    def _completed(self, params: Params, rng: random.Random) -> Params:
        for name in self._space.order:
            if name not in params and self._space.is_active(name, params):
                params[name] = self._space.parameters[name].sample(rng)
        return self._space.active(params)


def _identity(params: Params) -> Hashable:
    return tuple(params.items())
