"""`rate_search` of a load point: the range in which its highest rate under the SLOs is searched."""

from __future__ import annotations

import math

from pydantic import Field, model_validator

from tuner.spec.faults import Fault
from tuner.spec.section import Number, Section, Whole


class RateRange(Section):
    """Rates to search, requests per second, in place of one rate. A round is a block of probes."""

    low: Number = Field(gt=0, description="Requests per second; a load that every engine serves with ease.")
    high: Number = Field(gt=0, description="Requests per second; more than the best one serves.")
    probes: Whole = Field(
        default=6, ge=1, le=1000, description="In each round, each a window of round_seconds at one rate."
    )

    @model_validator(mode="after")
    def _rises(self) -> RateRange:
        if self.low >= self.high:
            raise Fault(got=f"low {self.low:g}, high {self.high:g}", right="low below high")
        return self

    @property
    def middle(self) -> float:
        """The geometric mean: where the search begins, and what the warm-up loads with."""
        return math.sqrt(self.low * self.high)
