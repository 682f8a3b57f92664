"""Expressions over parameters: Python's grammar, checked, compiled to closures, never `eval`.

Names are parameters; literals are numbers, text, true/false (`True`/`False` too); comparisons (chained too),
`and`, `or`, `not`, `in` over a literal list, `+ - * / // % **`, `a if c else b`, min, max, abs, and
`default(name, value)`: the parameter's value, or `value` where it is inactive or left to the engine.

A name without a value (inactive, or left to the engine's default) makes the expression *not applicable*: a
constraint is then not applied, a `when` is false. `default` names do not.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any

from tuner.spec.faults import Fault, show, suggestion
from tuner.spec.section import ParamValue

FUNCTIONS = ("abs", "default", "max", "min")
_LONGEST = 1000
_LARGEST = 1e30  # no result beyond it: bounds time and memory of whatever is written
_Values = Mapping[str, ParamValue]
_Compiled = Callable[[_Values], Any]

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


class ExpressionError(ValueError):
    """An expression that has no value for these parameters: division by zero, text compared with a number."""


class Expression:
    """A checked expression.

    Attributes:
        text: as it was written.
        names: every parameter it names.
        needed: those without which it is not applicable (all but the ones in `default`).
    """

    def __init__(self, text: str, known: Collection[str]) -> None:
        """Check `text` against the `known` parameters.

        Raises:
            Fault: it does not parse, or uses what is not allowed; says what would be right.
        """
        compiler = _Compiler(text, known)
        self.text = text
        self._value = compiler.compiled
        self.needed = frozenset(compiler.needed)
        self.names = frozenset(compiler.needed | compiler.optional)

    def __reduce__(self) -> tuple[type[Expression], tuple[str, tuple[str, ...]]]:
        return Expression, (self.text, tuple(sorted(self.names)))

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def applicable(self, values: _Values) -> bool:
        """Whether every needed name has a value."""
        return self.needed <= values.keys()

    def evaluate(self, values: _Values) -> ParamValue:
        """The value for `values`, which must make it applicable.

        Raises:
            ExpressionError: it has none.
        """
        try:
            found: ParamValue = self._value(values)
        except ZeroDivisionError as error:
            raise ExpressionError(f"'{self.text}' divides by zero") from error
        except TypeError as error:
            raise ExpressionError(f"'{self.text}' mixes text and numbers") from error
        except (OverflowError, KeyError) as error:
            raise ExpressionError(f"'{self.text}': {error}") from error
        return found

    def true(self, values: _Values) -> bool:
        """Whether it is applicable and true; where it has no value it is not true."""
        try:
            return self.applicable(values) and bool(self.evaluate(values))
        except ExpressionError:
            return False


class _Compiler:
    def __init__(self, text: str, known: Collection[str]) -> None:
        self.known = known
        self.needed: set[str] = set()
        self.optional: set[str] = set()
        if len(text) > _LONGEST:
            raise Fault(got=show(text), right=f"an expression of at most {_LONGEST} characters")
        try:
            tree = ast.parse(text.strip(), mode="eval")
            self.compiled = self._node(tree.body)
        except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
            if isinstance(error, Fault):
                raise
            raise Fault(got=show(text), right="an expression such as 'tp * dp <= 8'") from error

    def _node(self, node: ast.expr) -> _Compiled:
        compile_it = getattr(self, "_" + type(node).__name__, None)
        if compile_it is None:
            raise Fault(
                got=show(ast.unparse(node)),
                right="names of parameters, numbers, text, comparisons, and/or/not, in, arithmetic, "
                f"{', '.join(FUNCTIONS)}",
            )
        found: _Compiled = compile_it(node)
        return found

    def _Constant(self, node: ast.Constant) -> _Compiled:
        value = node.value
        if not isinstance(value, bool | int | float | str):
            raise Fault(got=show(value), right="a number, text, true or false")
        if isinstance(value, int | float) and not abs(value) <= _LARGEST:
            raise Fault(got=show(value), right=f"numbers up to {_LARGEST:g}")
        return lambda _values: value

    def _Name(self, node: ast.Name) -> _Compiled:
        name = node.id
        if name not in self.known and name in ("true", "false"):
            return lambda _values: name == "true"
        self._known(name)
        self.needed.add(name)
        return lambda values: values[name]

    def _known(self, name: str) -> None:
        if name not in self.known:
            raise Fault(got=f"the unknown parameter {name!r}", right=suggestion(name, self.known))

    def _BoolOp(self, node: ast.BoolOp) -> _Compiled:
        parts = [self._node(v) for v in node.values]
        stops_at = isinstance(node.op, ast.Or)

        def evaluate(values: _Values) -> Any:
            found: Any = None
            for part in parts:
                found = part(values)
                if bool(found) is stops_at:
                    break
            return found

        return evaluate

    def _UnaryOp(self, node: ast.UnaryOp) -> _Compiled:
        part = self._node(node.operand)
        if isinstance(node.op, ast.Not):
            return lambda values: not part(values)
        if isinstance(node.op, ast.USub):
            return lambda values: -_number(part(values))
        if isinstance(node.op, ast.UAdd):
            return lambda values: +_number(part(values))
        raise Fault(got="~", right="not")

    def _BinOp(self, node: ast.BinOp) -> _Compiled:
        left, right = self._node(node.left), self._node(node.right)
        if isinstance(node.op, ast.Pow):
            return lambda values: _power(_number(left(values)), _number(right(values)))
        operation = _ARITHMETIC.get(type(node.op))
        if operation is None:
            raise Fault(
                got=show(ast.unparse(node)),
                right="arithmetic by + - * / // % **; `and`, `or` between conditions",
            )
        return lambda values: _bounded(operation(_number(left(values)), _number(right(values))))

    def _Compare(self, node: ast.Compare) -> _Compiled:
        first = self._node(node.left)
        rest: list[tuple[Callable[[Any, Any], Any], _Compiled]] = []
        for op, part in zip(node.ops, node.comparators, strict=True):
            compare = _COMPARISONS.get(type(op))
            if compare is None:
                raise Fault(got=show(ast.unparse(node)), right="== or != in place of `is`")
            membership = isinstance(op, ast.In | ast.NotIn)
            rest.append((compare, self._members(part) if membership else self._node(part)))

        def evaluate(values: _Values) -> bool:
            left = first(values)
            for compare, part in rest:
                right = part(values)
                if not compare(left, right):
                    return False
                left = right
            return True

        return evaluate

    def _members(self, node: ast.expr) -> _Compiled:
        if not isinstance(node, ast.List | ast.Tuple | ast.Set):
            raise Fault(got=show(ast.unparse(node)), right="a list after `in`, such as [1, 2, 4]")
        parts = [self._node(e) for e in node.elts]
        return lambda values: [p(values) for p in parts]

    def _IfExp(self, node: ast.IfExp) -> _Compiled:
        test, then, otherwise = self._node(node.test), self._node(node.body), self._node(node.orelse)
        return lambda values: then(values) if test(values) else otherwise(values)

    def _Call(self, node: ast.Call) -> _Compiled:
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        if name not in FUNCTIONS or node.keywords:
            raise Fault(got=show(ast.unparse(node)), right=f"one of the functions {', '.join(FUNCTIONS)}")
        if name == "default":
            return self._default(node)
        parts = [self._node(a) for a in node.args]
        if (name == "abs" and len(parts) != 1) or (name != "abs" and len(parts) < 2):
            raise Fault(got=show(ast.unparse(node)), right="abs(x), min(x, y, ...) or max(x, y, ...)")
        if name == "abs":
            return lambda values: abs(_number(parts[0](values)))
        choose: Callable[..., Any] = min if name == "min" else max
        return lambda values: choose([_number(p(values)) for p in parts])

    def _default(self, node: ast.Call) -> _Compiled:
        if len(node.args) != 2 or not isinstance(node.args[0], ast.Name):
            raise Fault(got=show(ast.unparse(node)), right="default(parameter, value)")
        name, otherwise = node.args[0].id, self._node(node.args[1])
        self._known(name)
        self.optional.add(name)
        return lambda values: values[name] if name in values else otherwise(values)


def _number(value: Any) -> Any:
    if isinstance(value, str):
        raise TypeError("text in arithmetic")
    return value


def _bounded(value: Any) -> Any:
    if not abs(value) <= _LARGEST:
        raise OverflowError(f"a result beyond {_LARGEST:g}")
    return value


def _power(base: Any, exponent: Any) -> Any:
    if abs(exponent) > 64 or abs(base) > 1e9:
        raise OverflowError("a power beyond 1e9 ** 64")
    found = base**exponent
    if isinstance(found, complex):
        raise OverflowError("a root of a negative number")
    return _bounded(found)
