"""`{type: bool}`, and `{values: [true, false]}`: a switch, with the ways in which engines take one."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator

from tuner.spec.distribution import Categorical
from tuner.spec.faults import Fault
from tuner.spec.parameter import Parameter
from tuner.spec.section import ParamValue, Switch


class Boolean(Parameter):
    """False or true."""

    KIND: ClassVar[str] = "bool"
    FORM: ClassVar[str] = "{type: bool}"
    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": ["type"]}, {"required": ["values"]}]
        }  # `{}` alone is no switch
    )

    type: Literal["bool"] = Field(default="bool", description="A switch.")
    values: tuple[Switch, ...] = Field(default=(False, True), description="Both, unless one is given alone.")
    style: Literal["present", "on_off", "no"] = Field(
        default="present",
        description="present: the flag alone when true, nothing when false; on_off: --flag on|off; "
        "no: --flag or --no-flag.",
    )

    @field_validator("values")
    @classmethod
    def _sound(cls, values: tuple[bool, ...]) -> tuple[bool, ...]:
        if not values or len(set(values)) < len(values):
            raise Fault(got=str(list(values)).lower(), right="[false, true], or one of them alone")
        return values

    @classmethod
    def claims(cls, given: Mapping[str, Any]) -> bool:
        """See Parameter."""
        values = given.get("values")
        return isinstance(values, list | tuple) and bool(values) and all(isinstance(v, bool) for v in values)

    def canonical(self, value: object) -> ParamValue | None:
        """See Parameter."""
        return value if isinstance(value, bool) and value in self.values else None

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
        """See Parameter."""
        return float(a != b)

    def describe(self) -> str:
        """See Parameter."""
        return " or ".join("true" if v else "false" for v in self.values)

    def render(self, value: ParamValue) -> str:
        """on or off where the style says so, else true or false."""
        return ("on" if value else "off") if self.style == "on_off" else super().render(value)

    def arguments(self, name: str, value: ParamValue) -> tuple[str, ...]:
        """See Parameter; as `style` has it."""
        if self.style == "on_off" or self.env is not None or self.place is not None:
            return super().arguments(name, value)
        flag = self.flag_name(name).removesuffix("=")
        if value:
            return (flag,)
        return () if self.style == "present" else ("--no-" + flag.lstrip("-"),)
