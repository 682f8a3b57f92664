"""The parameter space: which configurations are valid, how many, and what each passes to the engine.

A configuration maps parameters to values. An inactive parameter (its `when` is false) is not part of it; an
absent one is left to the engine's own default. Constraints that name an absent or inactive parameter are not
applied (see tuner.spec.expression).
"""

from __future__ import annotations

import math
import random
from collections.abc import Hashable, Iterator, Mapping, Sequence

from tuner.errors import SpecError
from tuner.spec.expression import Expression, ExpressionError
from tuner.spec.faults import Fault, show, suggestion
from tuner.spec.hardware import Accelerators, Price, compiled, shown
from tuner.spec.memory import Memory
from tuner.spec.parameter import Parameter
from tuner.spec.section import ParamValue

MOST_POINTS = 1_000_000  # raw points beyond which configurations are not counted
_TRIES = 5_000
_FALLBACK = 20_000  # configurations looked through where drawing finds none

Params = dict[str, ParamValue]


class Space:
    """The configurations of one experiment. Immutable; may be pickled."""

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        constraints: Sequence[str] = (),
        *,
        accelerators: int | str = 0,
        price_per_hour: float | str | None = None,
        prices: Mapping[str, float] | None = None,
        baseline: Mapping[str, ParamValue] | None = None,
        memory: Memory | None = None,
    ) -> None:
        """Check and compile every expression; what certainly does not fit the memory is no configuration.

        Raises:
            Fault: an expression is wrong, or `when` go in a circle; `at` is the experiment's path.
        """
        self.parameters = dict(parameters)
        self._when = {
            name: compiled(p.when, self.parameters, ("parameters", name, "when"))
            for name, p in self.parameters.items()
            if p.when is not None
        }
        self._constraints = [
            compiled(text, self.parameters, ("constraints", i)) for i, text in enumerate(constraints)
        ]
        self._accelerators = Accelerators(accelerators, self.parameters)
        self._price = Price(price_per_hour, prices or {}, self.parameters)
        self._memory = memory
        self._order = self._ordered()
        self._baseline = dict(baseline or {})
        self._size: int | str | None = "not counted"

    @property
    def order(self) -> tuple[str, ...]:
        """The parameters, each after those that its `when` names."""
        return tuple(self._order)

    @property
    def memory(self) -> Memory | None:
        """How its configurations fit the accelerators' memory; None where too little is known."""
        return self._memory

    @property
    def baseline(self) -> Params:
        """The baseline, canonical, in the file's order; may be partial or empty."""
        return self.active(self._baseline)

    def active(self, params: Mapping[str, ParamValue]) -> Params:
        """`params` in the file's order without the inactive ones; values in their canonical form."""
        kept: Params = {}
        for name in self._order:
            if name not in params or (name in self._when and not self._when[name].true(kept)):
                continue
            found = self.parameters[name].canonical(params[name])
            kept[name] = params[name] if found is None else found
        return {name: kept[name] for name in self.parameters if name in kept}

    def check(self, params: Mapping[str, ParamValue]) -> list[str]:
        """What is wrong with a configuration, a line each; empty when it is valid. Absent ones may be."""
        unknown = [n for n in params if n not in self.parameters]
        found = [
            f"unknown parameter {n!r}; would be right: {suggestion(n, self.parameters)}" for n in unknown
        ]
        active = self.active(params)
        for name, value in active.items():
            if not self.parameters[name].contains(value):
                found.append(f"{name}: got {show(value)}; would be right: {self.parameters[name].describe()}")
        if not found:
            found = [line for c in self._constraints if (line := _violation(c, active))]
        if not found and (line := self._unfitting(active)):
            found.append(line)
        return found

    def valid(self, params: Mapping[str, ParamValue]) -> bool:
        """Whether `check` finds nothing."""
        return not self.check(params)

    def size(self) -> int | None:
        """The number of distinct valid configurations.

        None where a parameter is continuous, or with more than 1,000,000 raw points. Groups of parameters
        that no expression joins are counted apart and multiplied.
        """
        if isinstance(self._size, str):
            counts = [p.count() for p in self.parameters.values()]
            if any(c is None for c in counts) or math.prod(c or 0 for c in counts) > MOST_POINTS:
                self._size = None
            else:
                self._size = math.prod(sum(1 for _ in self._walk(group)) for group in self._groups())
        return self._size

    def grid(self) -> Iterator[Params]:
        """Every distinct valid configuration, the last parameter changing fastest.

        Raises:
            SpecError: a parameter is continuous.
        """
        for name, parameter in self.parameters.items():
            if parameter.count() is None:
                raise SpecError(
                    f"parameters.{name}: got a range without steps; would be right for a grid: a step"
                )
        for found in self._walk(self._order):
            yield {name: found[name] for name in self.parameters if name in found}

    def sample(self, rng: random.Random) -> Params:
        """One valid configuration, each parameter drawn from its own distribution.

        Raises:
            SpecError: none was found; the constraints leave too little.
        """
        for _ in range(_TRIES):
            drawn: Params = {}
            for name in self._order:
                if name not in self._when or self._when[name].true(drawn):
                    drawn[name] = self.parameters[name].sample(rng)
            met = all(_violation(c, drawn) is None for c in self._constraints)
            if met and self._unfitting(drawn) is None:
                return {name: drawn[name] for name in self.parameters if name in drawn}
        if self.size():
            found = [g for g, _ in zip(self.grid(), range(_FALLBACK), strict=False)]
            if found:
                return rng.choice(found)
        raise SpecError(
            f"constraints: no valid configuration in {_TRIES} draws; would be right: fewer or wider ones"
        )

    def key(self, params: Mapping[str, ParamValue]) -> Hashable:
        """Equal for two configurations exactly when they deploy the same."""
        return tuple(
            (name, self.parameters[name].render(value)) for name, value in self.active(params).items()
        )

    def distance(self, a: Mapping[str, ParamValue], b: Mapping[str, ParamValue]) -> float:
        """The mean distance over all parameters, 0 to 1; one that only `a` or `b` has counts as 1."""
        left, right = self.active(a), self.active(b)
        apart = [
            self.parameters[n].distance(left[n], right[n])
            if n in left and n in right
            else float(n in left or n in right)
            for n in self.parameters
        ]
        return sum(apart) / len(apart) if apart else 0.0

    def arguments(self, params: Mapping[str, ParamValue]) -> tuple[str, ...]:
        """Engine flags, one argv element each, in the file's order."""
        return tuple(
            word for n, v in self.active(params).items() for word in self.parameters[n].arguments(n, v)
        )

    def environment(self, params: Mapping[str, ParamValue]) -> dict[str, str]:
        """Variables for the engine."""
        found = {self.parameters[n].env: self.parameters[n].render(v) for n, v in self.active(params).items()}
        return {name: value for name, value in found.items() if name is not None}

    def places(self, params: Mapping[str, ParamValue]) -> Params:
        """Values for named places of the deployment."""
        found = {self.parameters[n].place: v for n, v in self.active(params).items()}
        return {name: value for name, value in found.items() if name is not None}

    def accelerators(self, params: Mapping[str, ParamValue]) -> int:
        """How many accelerators the configuration takes.

        Raises:
            SpecError: the expression names an absent parameter, or gives no whole number from 0 on.
        """
        return self._accelerators.of(self.active(params))

    def price_per_hour(self, params: Mapping[str, ParamValue]) -> float | None:
        """What an hour of the whole deployment costs, in the prices' currency; None where none is named.

        The price is that of one accelerator; of a deployment that takes none it is its own.

        Raises:
            SpecError: an expression of accelerators or price has no value, or a wrong one.
        """
        price = self._price.of(self.active(params))
        return None if price is None else price * (self.accelerators(params) or 1)

    def constraint(self, index: int) -> Expression:
        """The compiled constraint of that place in the file."""
        return self._constraints[index]

    def is_active(self, name: str, params: Mapping[str, ParamValue]) -> bool:
        """Whether `name` would be passed beside the other values of `params`."""
        return name not in self._when or self._when[name].true(self.active(params))

    def complete(self, params: Mapping[str, ParamValue]) -> bool:
        """Whether every active parameter has a value: a point of the space, nothing left to the engine."""
        return all(name in params for name in self._order if self.is_active(name, params))

    def _unfitting(self, active: Mapping[str, ParamValue]) -> str | None:
        """Why it certainly does not fit the accelerators' memory; None where it may, or nothing is known."""
        return None if self._memory is None else self._memory.refusal(active)

    def _ordered(self) -> list[str]:
        """Parameters with those that a `when` names before the one that has it; else the file's order."""
        order: list[str] = []
        waiting = list(self.parameters)
        while waiting:
            ready = next(
                (n for n in waiting if n not in self._when or self._when[n].names <= set(order)), None
            )
            if ready is None:
                raise Fault(
                    got=f"'when' in a circle over {', '.join(waiting)}",
                    right="a parameter that depends on none of these",
                    at=("parameters", waiting[0], "when"),
                )
            order.append(ready)
            waiting.remove(ready)
        return order

    def _walk(self, order: Sequence[str]) -> Iterator[Params]:
        """Depth first over `order`; inactive parameters do not branch, constraints cut as early as can be."""
        last = {name: i for i, name in enumerate(order)}
        due: list[list[Expression]] = [[] for _ in order]
        for constraint in self._constraints:
            if constraint.names & last.keys():
                due[max(last[n] for n in constraint.names if n in last)].append(constraint)
        unconditional = [c for c in self._constraints if not c.names]
        weighed = max((last[n] for n in self._memory.names & last.keys()), default=-1) if self._memory else -1
        values: Params = {}

        def descend(depth: int) -> Iterator[Params]:
            if depth == len(order):
                yield dict(values)
                return
            name = order[depth]
            active = name not in self._when or self._when[name].true(values)
            for value in (self.parameters[name].grid() or ()) if active else (None,):
                if value is not None:
                    values[name] = value
                fits = depth != weighed or self._unfitting(values) is None
                if fits and all(_violation(c, values) is None for c in due[depth]):
                    yield from descend(depth + 1)
                values.pop(name, None)

        if all(_violation(c, values) is None for c in unconditional):
            yield from descend(0)

    def _groups(self) -> list[list[str]]:
        """Parameters that expressions join, directly or not; each group in walking order."""
        group = {name: {name} for name in self._order}
        joined = [{name, *when.names} for name, when in self._when.items()] + [
            set(c.names) for c in self._constraints
        ]
        joined.append(set() if self._memory is None else set(self._memory.names))
        for names in joined:
            merged = set().union(*(group[n] for n in names)) if names else set()
            for name in merged:
                group[name] = merged
        distinct = {id(members): members for members in group.values()}
        return [[n for n in self._order if n in members] for members in distinct.values()] or [[]]


def _violation(constraint: Expression, active: Mapping[str, ParamValue]) -> str | None:
    if not constraint.applicable(active):
        return None
    try:
        if constraint.evaluate(active):
            return None
    except ExpressionError as error:
        return f"constraint {error}"
    concerned = {n: value for n, value in active.items() if n in constraint.names}
    return f"constraint '{constraint.text}' is not met by {shown(concerned)}"
