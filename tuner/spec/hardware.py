"""What serves a configuration: how many accelerators it takes, and what an hour of it costs."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tuner.errors import SpecError
from tuner.spec.expression import Expression, ExpressionError
from tuner.spec.faults import Fault, Path, show
from tuner.spec.section import ParamValue

_Values = Mapping[str, ParamValue]
_COUNT, _PRICE, _TABLE = ("deploy", "accelerators"), ("deploy", "price_per_hour"), ("prices",)
_MOST = 100_000


class Accelerators:
    """How many accelerators a configuration takes: a number, or an expression over the parameters."""

    def __init__(self, count: int | str, known: Collection[str]) -> None:
        """Check and compile it.

        Raises:
            Fault: the expression is wrong; `at` is the experiment's path.
        """
        self._count = count if isinstance(count, int) else compiled(count, known, _COUNT)
        self.names = frozenset() if isinstance(self._count, int) else self._count.names

    def of(self, active: _Values) -> int:
        """The number for a configuration's active parameters.

        Raises:
            SpecError: the expression names an absent parameter, or gives no whole number from 0 on.
        """
        if isinstance(self._count, int):
            return self._count
        found = _evaluated(self._count, active, _COUNT)
        if isinstance(found, bool | str) or found != int(found) or not 0 <= found <= _MOST:
            raise _wrong(_COUNT, f"{show(found)} for {shown(active)}", "a whole number from 0 on")
        return int(found)


class Price:
    """The price of one accelerator for an hour; of the deployment itself where that takes none.

    `per_hour` is a number, the name of a row of `table`, or an expression over the parameters that gives a
    number or the name of a row. Without it a table of one row is the price, and without either there is none.
    """

    def __init__(
        self, per_hour: float | str | None, table: Mapping[str, float], known: Collection[str]
    ) -> None:
        """Check and compile it.

        Raises:
            Fault: it cannot be told which price holds; `at` is the experiment's path.
        """
        self._table = dict(table)
        self._price: float | Expression | None = None
        rows = ", ".join(self._table)
        if isinstance(per_hour, str):
            self._price = self._named(per_hour, known)
        elif per_hour is not None:
            if table:
                right = f"one of them; with the table deploy.price_per_hour says which row ({rows})"
                raise Fault(got=f"a table beside deploy.price_per_hour {per_hour:g}", right=right, at=_TABLE)
            self._price = per_hour
        elif len(table) == 1:
            (self._price,) = table.values()
        elif table:
            right = f"deploy.price_per_hour: which of them ({rows}), or the parameter that says so"
            raise Fault(got=f"{len(table)} of them and no word which", right=right, at=_TABLE)

    @property
    def known(self) -> bool:
        """Whether the experiment names a price."""
        return self._price is not None

    def of(self, active: _Values) -> float | None:
        """The price for a configuration's active parameters; None where the experiment names none.

        Raises:
            SpecError: the expression names an absent parameter, a row that is not there, or no price.
        """
        if not isinstance(self._price, Expression):
            return self._price
        found = _evaluated(self._price, active, _PRICE, instead=repr(next(iter(self._table), 1)))
        if isinstance(found, str) and found in self._table:
            return self._table[found]
        if isinstance(found, bool | str) or not found > 0:
            rows = f", or a row of prices ({', '.join(self._table)})" if self._table else ""
            raise _wrong(_PRICE, f"{show(found)} for {shown(active)}", f"a price above 0{rows}")
        return float(found)

    def _named(self, text: str, known: Collection[str]) -> float | Expression:
        if text in self._table:
            if text in known:
                right = "another name for one of them"
                raise Fault(got="the name of a parameter too", right=right, at=(*_TABLE, text))
            return self._table[text]
        try:
            return compiled(text, known, _PRICE)
        except Fault as fault:
            rows = f"a row of prices ({', '.join(self._table)})" if self._table else "a number such as 2.5"
            right = f"{rows}, or an expression over the parameters"
            raise Fault(got=show(text), right=right, at=_PRICE) from fault


def compiled(text: str, known: Collection[str], at: Path) -> Expression:
    """The expression that stands at `at`.

    Raises:
        Fault: it is wrong.
    """
    try:
        return Expression(text, tuple(known))
    except Fault as fault:
        raise Fault(got=fault.got, right=fault.right, at=at) from fault


def shown(params: _Values) -> str:
    """'tp=2, dp=1', for messages."""
    return ", ".join(f"{n}={v}" for n, v in params.items()) or "no parameter"


def _evaluated(expression: Expression, active: _Values, at: Path, *, instead: str = "1") -> ParamValue:
    missing = sorted(expression.needed - active.keys())
    if missing:
        right = f"give it one, or default({missing[0]}, {instead})"
        raise _wrong(at, f"no value for {missing[0]!r}", right)
    try:
        return expression.evaluate(active)
    except ExpressionError as error:
        raise SpecError(f"{_dotted(at)}: {error}") from error


def _wrong(at: Path, got: str, right: str) -> SpecError:
    return SpecError(f"{_dotted(at)}: got {got}; would be right: {right}")


def _dotted(at: Path) -> str:
    return ".".join(map(str, at))
