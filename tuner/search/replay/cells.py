"""The cells of one line of a surface: text -> values, or one line that says what is wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tuner.errors import FailureClass, UserError
from tuner.spec.parameter import Parameter
from tuner.spec.space import Space
from tuner.trial.ports import ParamValue

_NO_CONFIGURATION = (
    FailureClass.NODE_FAULT,
    FailureClass.PREEMPTED,
    FailureClass.CANCELLED,
    FailureClass.BACKEND_BROKEN,
)
FAILURES = tuple(kind for kind in FailureClass if kind not in _NO_CONFIGURATION)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file; `metrics` is empty where it failed, `round` None where none is told."""

    number: int
    params: dict[str, ParamValue]
    metrics: dict[str, float]
    deploy_seconds: float
    failure: FailureClass | None
    noise_cv: float
    round: int | None


class Cells:
    """Reads the lines of one file."""

    def __init__(self, space: Space, metrics: Sequence[str]) -> None:
        self._space = space
        self._metrics = tuple(metrics)

    def line(self, cells: Mapping[str, str], number: int, where: str) -> Line:
        """One line.

        Raises:
            UserError: a cell is wrong; starts with `where`.
        """
        failure = _failure(cells["failure"], where)
        return Line(
            number=number,
            params=self._params(cells, where),
            metrics={m: _number(cells, m, where) for m in self._metrics} if failure is None else {},
            deploy_seconds=_number(cells, "deploy_seconds", where),
            failure=failure,
            noise_cv=_number(cells, "noise_cv", where) if cells.get("noise_cv") else 0.0,
            round=_round(cells["round"], where) if cells.get("round") else None,
        )

    def _params(self, cells: Mapping[str, str], where: str) -> dict[str, ParamValue]:
        found: dict[str, ParamValue] = {}
        for name, parameter in self._space.parameters.items():
            if not cells[name]:
                continue
            value = value_of(parameter, cells[name])
            if value is None:
                right = parameter.describe()
                raise UserError(f"{where}: {name}: got {cells[name]!r}; would be right: {right}, or empty")
            found[name] = value
        active = self._space.active(found)
        for name in found:
            if name not in active:
                when = self._space.parameters[name].when
                raise UserError(f"{where}: {name}: got {cells[name]!r}; would be right: empty, not '{when}'")
        wrong = self._space.check(found)
        if wrong:
            raise UserError(f"{where}: {wrong[0]}; would be right: a configuration of the experiment")
        return active


def value_of(parameter: Parameter, text: str) -> ParamValue | None:
    """The parameter's value that is written as `text`; None where there is none."""
    return next((v for guess in _guesses(text) if (v := parameter.canonical(guess)) is not None), None)


def _guesses(text: str) -> Iterator[ParamValue]:
    yield text
    if text.lower() in ("true", "false"):
        yield text.lower() == "true"
    for kind in (int, float):
        try:
            yield kind(text)
        except ValueError:
            continue


def _failure(text: str, where: str) -> FailureClass | None:
    if not text:
        return None
    if text not in FAILURES:
        right = ", ".join(FAILURES)
        raise UserError(f"{where}: failure: got {text!r}; would be right: empty, or one of {right}")
    return FailureClass(text)


def _number(cells: Mapping[str, str], column: str, where: str) -> float:
    text = cells[column]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        right = "a number from 0 on" + ("" if column in ("deploy_seconds", "noise_cv") else ", or a failure")
        raise UserError(f"{where}: {column}: got {text or 'nothing'}; would be right: {right}")
    return value


def _round(text: str, where: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{where}: round: got {text!r}; would be right: a whole number from 1 on")
    return int(text)
