"""Configurations as numbers: one or more columns a parameter, each parameter's columns within 0 to 1.

Numbers lie on a log scale where theirs spans a factor of four or more above 0, else by their size; a list
that mixes a 0 or -1 ("off", "no limit") with larger numbers goes by rank. Words get a column each, all at
the same distance. A parameter that can be inactive has one more column that says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuner.spec.distribution import Categorical
from tuner.spec.parameter import Parameter
from tuner.spec.space import Space
from tuner.trial.ports import ParamValue

Rows = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.intp]
LOG_FROM = 4.0  # largest over smallest, from which on equal ratios are equal steps
WORD = math.sqrt(0.5)  # two different words are 1 apart


@dataclass(frozen=True, slots=True)
class Levels:
    """Many rows, told by the few values that each parameter has among them.

    Attributes:
        values: of each parameter, (levels, its columns).
        places: of each parameter, which of them a row has, (m,).
        count: m.
    """

    values: list[Rows]
    places: list[Places]
    count: int

    def at(self, rows: Places) -> Levels:
        """Some of the rows, by the same values."""
        return Levels(self.values, [place[rows] for place in self.places], len(rows))


class Columns:
    """Columns of numbers by the parameter that owns them.

    Attributes:
        owner: for each column the index of its parameter; (columns,).
        parameters: how many parameters own a column.
    """

    def __init__(self, owner: Sequence[int], parameters: int) -> None:
        self.owner = np.array(owner, dtype=np.intp)
        self.parameters = parameters

    def levels(self, rows: Rows) -> Levels:
        """Sort rows, (m, columns), by the different values that each parameter has among them."""
        values, places = [], []
        for parameter in range(self.parameters):
            of_one = rows[:, self.owner == parameter]
            found, place = np.unique(of_one, axis=0, return_inverse=True)
            values.append(found)
            places.append(place.reshape(-1))
        return Levels(values, places, len(rows))

    def tables(self, known: Rows, levels: Levels) -> list[Rows]:
        """By parameter the squared distances from rows, (n, columns), to each level, (n, levels)."""
        found = []
        for parameter, values in enumerate(levels.values):
            of_one = known[:, self.owner == parameter]
            found.append(((of_one[:, None, :] - values[None, :, :]) ** 2).sum(axis=2))
        return found

    def apart(self, a: Rows, b: Rows) -> Rows:
        """Squared distances by parameter, (parameters, rows of a, rows of b)."""
        found = np.zeros((self.parameters, len(a), len(b)))
        for column, parameter in enumerate(self.owner):
            found[parameter] += (a[:, column, None] - b[None, :, column]) ** 2
        return found


class Encoding(Columns):
    """The columns of one space, its parameters in their order; those with a single value own none."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._parts: list[tuple[str, Callable[[ParamValue], list[float]], int, bool]] = []
        owner: list[int] = []
        for name, parameter in space.parameters.items():
            conditional = parameter.when is not None
            code, width = _code(parameter)
            width_all = width + conditional
            if width_all:
                owner += [len(self._parts)] * width_all
                self._parts.append((name, code, width, conditional))
        super().__init__(owner, len(self._parts))

    def row(self, params: Mapping[str, ParamValue]) -> list[float]:
        """One configuration; what is left to the engine stands in the middle of its range."""
        active = self._space.active(params)
        found: list[float] = []
        for name, code, width, conditional in self._parts:
            if name in active and self._space.parameters[name].contains(active[name]):
                found += code(active[name])
                found += [0.0] * conditional
            else:
                found += [0.5] * width if width == 1 else [0.0] * width
                found += [float(name not in params)] * conditional
        return found

    def rows(self, configurations: Sequence[Mapping[str, ParamValue]]) -> Rows:
        """(configurations, columns)."""
        found = [self.row(params) for params in configurations]
        return np.array(found, dtype=float).reshape(len(found), len(self.owner))


def _code(parameter: Parameter) -> tuple[Callable[[ParamValue], list[float]], int]:
    """value -> numbers, and how many they are."""
    neutral = parameter.distribution()
    if not isinstance(neutral, Categorical):
        spans = neutral.low > 0 and neutral.high >= LOG_FROM * neutral.low
        return scaled(float(neutral.low), float(neutral.high), log=neutral.log or spans)
    values = neutral.values
    if len(values) < 2:
        return (lambda _: []), 0
    if all(isinstance(v, bool) for v in values):
        return (lambda v: [float(bool(v))]), 1
    if any(isinstance(v, str | bool) for v in values):
        return (lambda v: [WORD * (v == other) for other in values]), len(values)
    numbers = sorted(float(v) for v in values)
    if numbers[0] > 0:
        return scaled(numbers[0], numbers[-1], log=numbers[-1] >= LOG_FROM * numbers[0])
    ranks = {number: rank / (len(numbers) - 1) for rank, number in enumerate(numbers)}
    return (lambda v: [ranks[float(v)]]), 1


def scaled(low: float, high: float, *, log: bool) -> tuple[Callable[[ParamValue], list[float]], int]:
    """value -> its place between low and high, and the number of columns: none where both are the same."""
    if low == high:
        return (lambda _: []), 0
    if log:
        span = math.log(high / low)
        return (lambda v: [math.log(float(v) / low) / span]), 1
    return (lambda v: [(float(v) - low) / (high - low)]), 1
