"""The `workload` section: named load points and the lengths of rounds."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tuner.spec.scenario import Scenario, parse_scenario

_POINT_FIELDS = ("name", "scenario", "concurrency", "request_rate", "arrivals", "burstiness", "shared_prefix")


class Section(BaseModel):
    """A section of the experiment file: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LoadPoint(Section):
    """One named load: a closed loop (`concurrency`) or an open one (`request_rate`)."""

    name: str = Field(default="load", description="Metrics of this point are named <name>.<metric>.")
    scenario: str = Field(description="Lengths in tokens, e.g. D(512,128).")
    concurrency: int | None = Field(default=None, ge=1, le=100_000, description="Requests in flight.")
    request_rate: float | None = Field(default=None, gt=0, description="Requests per second, open loop.")
    arrivals: Literal["constant", "poisson", "gamma"] = "poisson"
    burstiness: float = Field(default=1.0, gt=0, description="Gamma's shape: below 1 burstier than Poisson.")
    shared_prefix: int = Field(default=0, ge=0, description="Tokens that all prompts start with.")

    @model_validator(mode="after")
    def _check(self) -> LoadPoint:
        parse_scenario(self.scenario)
        if (self.concurrency is None) == (self.request_rate is None):
            raise ValueError("give either concurrency (closed loop) or request_rate (open loop)")
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", self.name):
            raise ValueError(f"load point name {self.name!r}: lower case letters, digits, - and _")
        return self

    @cached_property
    def lengths(self) -> Scenario:
        """The parsed scenario."""
        return parse_scenario(self.scenario)


class Workload(Section):
    """What every trial is loaded with. One load point may be written without `points`."""

    points: tuple[LoadPoint, ...] = Field(min_length=1, description="Measured one after another in a round.")
    rounds: int = Field(default=4, ge=1, le=1000)
    round_seconds: float = Field(default=20.0, gt=0, le=86_400, description="Window of each load point.")
    warmup_seconds: float = Field(default=5.0, ge=0, le=86_400)
    request_timeout_seconds: float = Field(default=120.0, gt=0)
    seed: int = Field(default=0, ge=0, description="Of lengths and arrivals; the same for every trial.")

    @model_validator(mode="before")
    @classmethod
    def _single_point(cls, given: Any) -> Any:
        if isinstance(given, dict) and "points" not in given:
            point = {k: given[k] for k in _POINT_FIELDS if k in given}
            rest = {k: v for k, v in given.items() if k not in _POINT_FIELDS}
            return {**rest, "points": [point]}
        return given

    @model_validator(mode="after")
    def _unique(self) -> Workload:
        names = [p.name for p in self.points]
        if len(set(names)) != len(names):
            raise ValueError(f"load points need different names, got {names}")
        return self
