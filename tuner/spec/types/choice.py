"""`{values: [...]}`: one of some numbers or words."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr, field_validator

from tuner.spec.distribution import Categorical
from tuner.spec.faults import Fault, show
from tuner.spec.parameter import Parameter
from tuner.spec.section import ParamValue


class Choice(Parameter):
    """One of `values`."""

    KIND: ClassVar[str] = "choice"
    FORM: ClassVar[str] = "{values: [...]}"

    type: Literal["choice"] = Field(default="choice", description="Not needed: `values` says it.")
    values: tuple[StrictBool | StrictInt | StrictFloat | StrictStr, ...] = Field(
        description="Numbers or words, each once; one value alone is passed and not tuned."
    )

    @field_validator("values")
    @classmethod
    def _sound(cls, values: tuple[ParamValue, ...]) -> tuple[ParamValue, ...]:
        if not values:
            raise Fault(got="an empty list", right="at least one value")
        seen: set[str] = set()
        for index, value in enumerate(values):
            if isinstance(value, float) and not math.isfinite(value):
                raise Fault(got=show(value), right="a finite number", at=(index,))
            if isinstance(value, str) and (not value or "\0" in value or len(value) > 4096):
                raise Fault(got=show(value), right="text of 1 to 4096 characters", at=(index,))
            if (identity := _identity(value)) in seen:
                raise Fault(got=f"{show(value)} twice", right="each value once", at=(index,))
            seen.add(identity)
        return values

    @classmethod
    def claims(cls, given: Mapping[str, Any]) -> bool:
        """See Parameter."""
        values = given.get("values")
        only_bools = (
            isinstance(values, list | tuple) and bool(values) and all(isinstance(v, bool) for v in values)
        )
        return "values" in given and not only_bools

    def canonical(self, value: object) -> ParamValue | None:
        """See Parameter."""
        if not isinstance(value, bool | int | float | str):
            return None
        alike = isinstance(value, str)
        wanted = _identity(value)
        return next((v for v in self.values if _identity(v) == wanted and isinstance(v, str) == alike), None)

    def grid(self) -> tuple[ParamValue, ...]:
        """See Parameter."""
        return self.values

    def count(self) -> int:
        """See Parameter."""
        return len(self.values)

    def sample(self, rng: random.Random) -> ParamValue:
        """See Parameter."""
        return rng.choice(self.values)

    def distribution(self) -> Categorical:
        """See Parameter."""
        return Categorical(self.values)

    def distance(self, a: ParamValue, b: ParamValue) -> float:
        """Numbers by their rank among the values; words 0 or 1."""
        numbers = [v for v in self.values if not isinstance(v, bool | str)]
        if len(numbers) < len(self.values) or isinstance(a, str) or isinstance(b, str):
            return float(_identity(a) != _identity(b))
        ranks = sorted(numbers)
        return abs(ranks.index(a) - ranks.index(b)) / max(1, len(ranks) - 1)

    def describe(self) -> str:
        """See Parameter."""
        return (
            show(self.values[0])
            if len(self.values) == 1
            else f"one of {', '.join(show(v) for v in self.values)}"
        )


def _identity(value: ParamValue) -> str:
    """The same for values that an engine could not tell apart: 1 and 1.0, true and "true"."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
