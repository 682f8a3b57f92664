"""The `goodput` section: what a single request must keep to be a good one."""

from __future__ import annotations

from pydantic import Field, model_validator

from tuner.spec.faults import Fault
from tuner.spec.section import Number, Section


class Goodput(Section):
    """Limits of one request, beside the SLOs, which are limits of a percentile over all requests."""

    ttft_ms: Number | None = Field(default=None, gt=0, description="Send to first token, at most.")
    tpot_ms: Number | None = Field(default=None, gt=0, description="Mean time per further token, at most.")
    e2e_ms: Number | None = Field(default=None, gt=0, description="Send to last token, at most.")

    @model_validator(mode="after")
    def _some(self) -> Goodput:
        if self.ttft_ms is None and self.tpot_ms is None and self.e2e_ms is None:
            raise Fault(got="no limit", right="at least one, such as {ttft_ms: 500, tpot_ms: 40}")
        return self
