"""`{low: 1, high: 64, step: 1, log: false}` in whole numbers."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from tuner.spec.distribution import IntRange
from tuner.spec.faults import Fault
from tuner.spec.parameter import Parameter
from tuner.spec.section import ParamValue, Switch, Whole


class Integer(Parameter):
    """low, low + step, ..., high."""

    KIND: ClassVar[str] = "int"
    FORM: ClassVar[str] = "{low: 1, high: 8}"

    type: Literal["int"] = Field(default="int", description="Not needed: whole low and high say it.")
    low: Whole = Field(description="Smallest value.", ge=-(2**53), le=2**53)
    high: Whole = Field(description="Largest value, included.", ge=-(2**53), le=2**53)
    step: Whole = Field(default=1, ge=1, description="Distance between values, counted from low.")
    log: Switch = Field(default=False, description="Sample equal ratios equally often; low above 0, no step.")

    @model_validator(mode="after")
    def _sound(self) -> Integer:
        if self.low > self.high:
            raise Fault(got=f"low {self.low} above high {self.high}", right="low at most high", at=("low",))
        if self.log and (self.low < 1 or self.step != 1):
            raise Fault(
                got=f"low {self.low}, step {self.step}",
                right="with log: low at least 1 and no step",
                at=("log",),
            )
        if (self.high - self.low) % self.step:
            reached = self.high - (self.high - self.low) % self.step
            raise Fault(
                got=f"{self.high}, which steps of {self.step} from {self.low} miss",
                right=f"{reached} or {reached + self.step}",
                at=("high",),
            )
        return self

    @classmethod
    def claims(cls, given: Mapping[str, Any]) -> bool:
        """See Parameter."""
        ends = [given[k] for k in ("low", "high", "step") if k in given]
        return ("low" in given or "high" in given) and not any(isinstance(e, float) for e in ends)

    def canonical(self, value: object) -> ParamValue | None:
        """See Parameter; 8.0 is 8."""
        if isinstance(value, bool) or not isinstance(value, int | float) or value % 1:
            return None
        whole = int(value)
        return whole if self.low <= whole <= self.high and not (whole - self.low) % self.step else None

    def grid(self) -> tuple[ParamValue, ...]:
        """See Parameter."""
        return tuple(range(self.low, self.high + 1, self.step))

    def count(self) -> int:
        """See Parameter."""
        return (self.high - self.low) // self.step + 1

    def sample(self, rng: random.Random) -> ParamValue:
        """See Parameter."""
        if not self.log:
            return self.low + self.step * rng.randrange(self.count())
        drawn = math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
        return min(self.high, max(self.low, round(drawn)))

    def distribution(self) -> IntRange:
        """See Parameter."""
        return IntRange(self.low, self.high, self.step, self.log)

    def distance(self, a: ParamValue, b: ParamValue) -> float:
        """Share of the range, on a log scale where the parameter is."""
        if self.low == self.high:
            return 0.0
        if self.log:
            return abs(math.log(float(a) / float(b))) / math.log(self.high / self.low)
        return abs(float(a) - float(b)) / (self.high - self.low)

    def describe(self) -> str:
        """See Parameter."""
        return f"{self.low} to {self.high}" + (f" in steps of {self.step}" if self.step > 1 else "")
