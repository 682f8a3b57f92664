"""`{low: 0.7, high: 0.95, step: 0.01, log: false}` in real numbers."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from tuner.spec.distribution import FloatRange
from tuner.spec.faults import Fault
from tuner.spec.parameter import Parameter
from tuner.spec.section import Number, ParamValue, Switch

_SAME = 1e-9  # share of a step within which a number is the value on the grid: 0.1 + 0.2 is 0.3


class Real(Parameter):
    """A number from low to high; with a step only low + i * step, exact in decimal."""

    KIND: ClassVar[str] = "float"
    FORM: ClassVar[str] = "{low: 0.1, high: 0.9}"

    type: Literal["float"] = Field(
        default="float", description="Not needed where low, high or step has a point."
    )
    low: Number = Field(description="Smallest value.")
    high: Number = Field(description="Largest value, included.")
    step: Number | None = Field(default=None, gt=0, description="Distance between values; none: any number.")
    log: Switch = Field(default=False, description="Sample equal ratios equally often; low above 0, no step.")

    @model_validator(mode="after")
    def _sound(self) -> Real:
        if self.low > self.high:
            raise Fault(got=f"low {self.low} above high {self.high}", right="low at most high", at=("low",))
        if self.log and (self.low <= 0 or self.step is not None):
            raise Fault(
                got=f"low {self.low}, step {self.step}",
                right="with log: low above 0 and no step",
                at=("log",),
            )
        if self.step is not None and (_exact(self.high) - _exact(self.low)) % _exact(self.step):
            reached = self._on_grid(int((_exact(self.high) - _exact(self.low)) // _exact(self.step)))
            raise Fault(
                got=f"{self.high}, which steps of {self.step} from {self.low} miss",
                right=f"{reached}",
                at=("high",),
            )
        return self

    @classmethod
    def claims(cls, given: Mapping[str, Any]) -> bool:
        """See Parameter."""
        ends = [given[k] for k in ("low", "high", "step") if k in given]
        return ("low" in given or "high" in given) and any(isinstance(e, float) for e in ends)

    def canonical(self, value: object) -> ParamValue | None:
        """See Parameter; a number that is on the grid but for rounding is the one on the grid."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return None
        if self.step is None:
            return float(value) if self.low <= value <= self.high else None
        index = (value - self.low) / self.step
        if not -0.5 < index < (self.count() or 0) - 0.5 or abs(index - round(index)) > _SAME * max(
            1.0, abs(index)
        ):
            return None
        return self._on_grid(round(index))

    def grid(self) -> tuple[ParamValue, ...] | None:
        """See Parameter."""
        count = self.count()
        return None if count is None else tuple(self._on_grid(i) for i in range(count))

    def count(self) -> int | None:
        """See Parameter."""
        if self.low == self.high:
            return 1
        return (
            None if self.step is None else int((_exact(self.high) - _exact(self.low)) / _exact(self.step)) + 1
        )

    def sample(self, rng: random.Random) -> ParamValue:
        """See Parameter."""
        count = self.count()
        if count is not None:
            return self._on_grid(rng.randrange(count))
        if self.log:
            drawn = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
            return min(self.high, max(self.low, drawn))
        return rng.uniform(self.low, self.high)

    def distribution(self) -> FloatRange:
        """See Parameter."""
        return FloatRange(self.low, self.high, self.step, self.log)

    def distance(self, a: ParamValue, b: ParamValue) -> float:
        """Share of the range, on a log scale where the parameter is."""
        if self.low == self.high:
            return 0.0
        if self.log:
            return abs(math.log(float(a) / float(b))) / math.log(self.high / self.low)
        return abs(float(a) - float(b)) / (self.high - self.low)

    def describe(self) -> str:
        """See Parameter."""
        return f"{self.low} to {self.high}" + (f" in steps of {self.step}" if self.step is not None else "")

    def _on_grid(self, index: int) -> float:
        return self.low if self.step is None else float(_exact(self.low) + index * _exact(self.step))


def _exact(value: float) -> Decimal:
    return Decimal(repr(value))
