"""A tuned parameter: where its value goes, and what every parameter type promises."""

from __future__ import annotations

import random
import re
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, model_validator

from tuner.spec.distribution import Distribution
from tuner.spec.faults import Fault, show
from tuner.spec.section import ParamValue, Section, Text

_FLAG = re.compile(r"--?[A-Za-z0-9][A-Za-z0-9._-]*=?")
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLACE = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*")


class Parameter(Section):
    """One tuned parameter. A parameter type is a subclass in a file of its own in `types/`."""

    KIND: ClassVar[str]  # what `type:` says
    FORM: ClassVar[str]  # a definition of this type, for messages

    flag: Text | None = Field(
        default=None,
        description="Engine flag; default --name-with-dashes. Ending in '=' makes one word with its value.",
    )
    env: Text | None = Field(
        default=None, description="Environment variable of the engine, in place of a flag."
    )
    place: Text | None = Field(
        default=None,
        description="Named place of the deployment, such as storage.pvc_subpath, in place of a flag.",
    )
    when: Text | None = Field(
        default=None,
        description="Expression over other parameters; where it is false this one is not passed.",
    )

    @model_validator(mode="after")
    def _one_target(self) -> Parameter:
        given = [k for k in ("flag", "env", "place") if getattr(self, k) is not None]
        if len(given) > 1:
            raise Fault(got=" and ".join(given), right="one of flag, env and place", at=(given[1],))
        for key, pattern, right in (
            ("flag", _FLAG, "a flag such as --max-num-seqs"),
            ("env", _ENV, "a variable's name such as OMP_NUM_THREADS"),
            ("place", _PLACE, "a place such as storage.pvc_subpath"),
        ):
            value = getattr(self, key)
            if value is not None and not pattern.fullmatch(value):
                raise Fault(got=show(value), right=right, at=(key,))
        return self

    @classmethod
    @abstractmethod
    def claims(cls, given: Mapping[str, Any]) -> bool:
        """Whether a definition without `type:` is one of this type."""

    @abstractmethod
    def canonical(self, value: object) -> ParamValue | None:
        """The one form of `value` among this parameter's values; None where it is not one of them."""

    @abstractmethod
    def grid(self) -> tuple[ParamValue, ...] | None:
        """Every value in order; None where they are not countable."""

    @abstractmethod
    def count(self) -> int | None:
        """How many values there are, without making them; None where they are not countable."""

    @abstractmethod
    def sample(self, rng: random.Random) -> ParamValue:
        """One value, as the distribution has it."""

    @abstractmethod
    def distribution(self) -> Distribution:
        """The same in neutral words."""

    @abstractmethod
    def distance(self, a: ParamValue, b: ParamValue) -> float:
        """How far apart two of its values are: 0 the same, 1 as far as can be."""

    @abstractmethod
    def describe(self) -> str:
        """What would be right, for a person: "1, 2 or 4", "0.7 to 0.95 in steps of 0.01"."""

    def contains(self, value: object) -> bool:
        """Whether `value` is one of this parameter's values."""
        return self.canonical(value) is not None

    def render(self, value: ParamValue) -> str:
        """`value` as the engine reads it."""
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value)

    def flag_name(self, name: str) -> str:
        """The flag of the parameter called `name`."""
        return self.flag or "--" + name.replace("_", "-")

    def arguments(self, name: str, value: ParamValue) -> tuple[str, ...]:
        """The argv elements for `value`; empty where its target is no flag."""
        if self.env is not None or self.place is not None:
            return ()
        flag, text = self.flag_name(name), self.render(value)
        return (flag + text,) if flag.endswith("=") else (flag, text)
