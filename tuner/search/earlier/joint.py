"""Configurations of two runs as numbers that compare: the columns of an earlier run's parameters.

Numbers lie between the least and the most of both runs, words that both know are the same word. Precisions
of weights and cache that the runs call differently (fp8, fp8-block) are told as quantised or not. What the
earlier run did not always pass has one more column that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tuner.search.auto.encoding import LOG_FROM, WORD, Columns, Rows, scaled
from tuner.search.auto.roles import KINDS, figure_of, role_of
from tuner.search.earlier.matching import Matching
from tuner.spec.distribution import Categorical
from tuner.spec.parameter import Parameter
from tuner.spec.space import Params, Space
from tuner.trial.ports import ParamValue

_Code = Callable[[ParamValue], list[float]]


class Joint(Columns):
    """Columns for the parameters of the earlier run, as both runs have them.

    Args:
        matching: of the two.
        mine, theirs: this run's space and the earlier one's.
        tried: configurations of the earlier run.
    """

    def __init__(
        self, matching: Matching, mine: Space, theirs: Space, tried: Sequence[Mapping[str, ParamValue]]
    ) -> None:
        self._matching = matching
        self._mine = mine
        self._theirs = theirs
        self._parts: list[tuple[str, _Code, int, bool]] = []
        owner: list[int] = []
        for name, parameter in theirs.parameters.items():
            other = mine.parameters.get(matching.pairs.get(name, ""))
            code, width = _code(name, parameter, other)
            left_out = any(name not in theirs.active(params) for params in tried)
            if width + left_out:
                owner += [len(self._parts)] * (width + left_out)
                self._parts.append((name, code, width, left_out))
        super().__init__(owner, len(self._parts))

    def of_earlier(self, configurations: Sequence[Mapping[str, ParamValue]]) -> Rows:
        """Configurations of the earlier run, (m, columns)."""
        return self._rows([self._theirs.active(params) for params in configurations])

    def of_this(self, configurations: Sequence[Mapping[str, ParamValue]]) -> Rows:
        """Configurations of this run, (m, columns); what it does not tune is as the earlier baseline was."""
        return self._rows([self._translated(params) for params in configurations])

    def _translated(self, params: Mapping[str, ParamValue]) -> Params:
        active, found = self._mine.active(params), {**self._theirs.baseline}
        for theirs, mine in self._matching.pairs.items():
            found.pop(theirs, None)
            if mine in active:
                found[theirs] = active[mine]
        return found

    def _rows(self, configurations: Sequence[Params]) -> Rows:
        rows = []
        for params in configurations:
            row: list[float] = []
            for name, code, width, left_out in self._parts:
                if name in params:
                    row += code(params[name])
                else:
                    row += [0.5] if width == 1 else [0.0] * width
                row += [float(name not in params)] * left_out
            rows.append(row)
        return np.array(rows, dtype=float).reshape(len(rows), len(self.owner))


def _code(name: str, theirs: Parameter, mine: Parameter | None) -> tuple[_Code, int]:
    """value -> numbers, and how many they are."""
    both = [theirs] if mine is None else [theirs, mine]
    ends = [_numbers(parameter) for parameter in both]
    if all(ends):
        numbers = sorted({number for found in ends for number in found})
        return _scale(numbers)
    words = [_words(parameter) for parameter in both]
    role = role_of(name, theirs)
    if role in KINDS and words[0] != words[-1]:
        return (lambda v: [figure_of(role, v)]), 1
    union = list(dict.fromkeys(word for found in words for word in found))
    if set(union) <= {"true", "false"}:
        return (lambda v: [float(_word(v) == "true")]), 1
    return (lambda v: [WORD * (_word(v) == other) for other in union]), len(union)


def _scale(numbers: Sequence[float]) -> tuple[_Code, int]:
    low, high = numbers[0], numbers[-1]
    if low > 0 or low == high:
        return scaled(low, high, log=high >= LOG_FROM * low)
    ranks = np.linspace(0.0, 1.0, len(numbers))
    return (lambda v: [float(np.interp(float(v), numbers, ranks))]), 1


def _numbers(parameter: Parameter) -> list[float]:
    """The listed numbers, or the ends of the range; [] where it has words."""
    neutral = parameter.distribution()
    if not isinstance(neutral, Categorical):
        return [float(neutral.low), float(neutral.high)]
    numbers = [float(v) for v in neutral.values if not isinstance(v, str | bool)]
    return numbers if len(numbers) == len(neutral.values) else []


def _words(parameter: Parameter) -> list[str]:
    neutral = parameter.distribution()
    if isinstance(neutral, Categorical):
        return sorted(_word(v) for v in neutral.values)
    return []


def _word(value: ParamValue) -> str:
    return str(value).lower()
