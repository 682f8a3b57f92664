"""The `workload` section: named load points and the lengths of rounds."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from tuner.spec.faults import Fault, show
from tuner.spec.scenario import GRAMMAR, Scenario, parse_scenario
from tuner.spec.section import Number, Section, Text, Whole


class LoadPoint(Section):
    """One named load: a closed loop (`concurrency`) or an open one (`request_rate`)."""

    name: Text = Field(default="load", description="Metrics of this point are named <name>.<metric>.")
    scenario: Text = Field(description="Lengths in tokens, e.g. D(512,128).")
    concurrency: Whole | None = Field(default=None, ge=1, le=100_000, description="Requests in flight.")
    request_rate: Number | None = Field(default=None, gt=0, description="Requests per second, open loop.")
    arrivals: Literal["constant", "poisson", "gamma"] = "poisson"
    burstiness: Number = Field(default=1.0, gt=0, description="Gamma's shape: below 1 burstier than Poisson.")
    shared_prefix: Whole = Field(default=0, ge=0, description="Tokens that all prompts start with.")

    @field_validator("scenario")
    @classmethod
    def _parses(cls, text: str) -> str:
        try:
            parse_scenario(text)
        except ValueError as error:
            right = GRAMMAR if "does not parse" in str(error) else str(error).partition(": ")[2]
            raise Fault(got=show(text), right=right) from error
        return text

    @field_validator("name")
    @classmethod
    def _word(cls, name: str) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
            raise Fault(got=show(name), right="lower case letters, digits, - and _, a letter first")
        return name

    @model_validator(mode="after")
    def _one_loop(self) -> LoadPoint:
        if (self.concurrency is None) == (self.request_rate is None):
            both = self.concurrency is not None
            raise Fault(
                got="both concurrency and request_rate" if both else "neither concurrency nor request_rate",
                right="either concurrency (closed loop) or request_rate (open loop)",
            )
        return self

    @cached_property
    def lengths(self) -> Scenario:
        """The parsed scenario."""
        return parse_scenario(self.scenario)


class Workload(Section):
    """What every trial is loaded with.

    One load point may be written without `points`; a bare list is the points, with default rounds.
    """

    points: tuple[LoadPoint, ...] = Field(min_length=1, description="Measured one after another in a round.")
    rounds: Whole = Field(default=4, ge=1, le=1000)
    round_seconds: Number = Field(default=20.0, gt=0, le=86_400, description="Window of each load point.")
    warmup_seconds: Number = Field(default=5.0, ge=0, le=86_400)
    request_timeout_seconds: Number = Field(default=120.0, gt=0)
    seed: Whole = Field(default=0, ge=0, description="Of lengths and arrivals; the same for every trial.")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, given: Any) -> Any:
        if isinstance(given, list | tuple):
            return {"points": given}
        if isinstance(given, dict) and "points" not in given:
            point = {k: given[k] for k in LoadPoint.model_fields if k in given}
            rest = {k: v for k, v in given.items() if k not in LoadPoint.model_fields}
            return {**rest, "points": [point]}
        return given

    @field_validator("points")
    @classmethod
    def _unique(cls, points: tuple[LoadPoint, ...]) -> tuple[LoadPoint, ...]:
        names = [p.name for p in points]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise Fault(
                    got=f"a second load point {name!r}", right="a name of its own for each", at=(index,)
                )
        return points
