"""The lines of rounds.jsonl and trials.jsonl. A new field has a default, so that old runs are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tuner.errors import Failure, FailureClass
from tuner.results.plain_json import intervals, number_row, numbers
from tuner.trial.ports import ParamValue, Phase, State
from tuner.trial.rounds import RoundResult

Intervals = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class RoundLine:
    """One round of one deployment.

    Attributes:
        trial: Optuna's number; 0 is the baseline.
        attempt: 1-based, within (trial, phase).
        metrics: of this round alone, `<point>.<metric>` and, over the points, `<metric>`.
        decision: what the stopping rules said after it: "go on", or why it was stopped; "" in a validation.
        values: the objectives over the rounds so far.
        intervals: the 95 % interval of each value; (nan, nan) where it cannot be told.
    """

    trial: int
    phase: Phase
    attempt: int
    round: RoundResult
    metrics: dict[str, float] = field(default_factory=dict)
    decision: str = ""
    values: tuple[float, ...] = ()
    intervals: Intervals = ()

    @property
    def key(self) -> tuple[int, Phase, int]:
        """Which deployment it belongs to."""
        return self.trial, self.phase, self.attempt

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back without loss."""
        return {**_shallow(self), "round": self.round.to_json()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> RoundLine:
        """What `to_json` wrote; fields it does not know are passed over."""
        return cls(
            **{
                **_known(cls, stored),
                "phase": Phase(stored["phase"]),
                "round": RoundResult.from_json(stored["round"]),
                "metrics": numbers(stored.get("metrics", {})),
                "values": number_row(stored.get("values", ())),
                "intervals": intervals(stored.get("intervals", ())),
            }
        )


@dataclass(frozen=True, slots=True)
class TrialLine:
    """One ended deployment.

    Attributes:
        trial: Optuna's number; 0 is the baseline.
        attempt: 1-based, within (trial, phase).
        block: of the validation, 0-based; None in other phases.
        feasible: measured, and within every SLO and constraint.
        params: the active parameters' values.
        arguments: the engine's flags, one argv element each.
        metrics: of the merged rounds, `<point>.<metric>` and, over the points, `<metric>`.
        values: one per objective, in its own unit; empty where nothing was measured.
        violations: SLO metric -> how far beyond the limit, as a share of it; <= 0 is within.
        intervals: the 95 % interval of each value.
        failure: why it gave no measurement; None where it gave one.
        times: seconds of each part: queue, the parts of deploying, warmup, rounds, release, ...
        accelerator_seconds: accelerators times seconds from having them to the deployment's end.
        price_per_hour: of the deployment; None where the experiment names no price.
        cold: the first use of the model on that node; None where that is not known.
        expected_to_deploy: the probability that the search gave it when it was proposed; None for none.
        reason: why it was stopped, one line; "" where it was not.
        accuracy: what its answers lost against the baseline's, a Judgement (of the trial that was asked);
            None where they were not compared.
        started: Unix time.
        ended: Unix time.
    """

    trial: int
    phase: Phase
    attempt: int
    state: State
    feasible: bool
    params: dict[str, ParamValue]
    block: int | None = None
    arguments: tuple[str, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    values: tuple[float, ...] = ()
    violations: dict[str, float] = field(default_factory=dict)
    intervals: Intervals = ()
    failure: Failure | None = None
    times: dict[str, float] = field(default_factory=dict)
    accelerator_seconds: float = 0.0
    price_per_hour: float | None = None
    engine_version: str = ""
    node: str = ""
    cold: bool | None = None
    expected_to_deploy: float | None = None
    reason: str = ""
    accuracy: dict[str, Any] | None = None
    started: float = 0.0
    ended: float = 0.0

    @property
    def key(self) -> tuple[int, Phase, int]:
        """Which deployment it is."""
        return self.trial, self.phase, self.attempt

    @property
    def cost(self) -> float | None:
        """What it has cost from its place to its end, in the prices' currency; None without a price."""
        held = self.times.get("total", self.ended - self.started) - self.times.get("queue", 0.0)
        return None if self.price_per_hour is None else self.price_per_hour * held / 3600

    @property
    def value(self) -> float | None:
        """The first objective; None where nothing was measured."""
        return self.values[0] if self.values else None

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back without loss."""
        return {**_shallow(self), "failure": dataclasses.asdict(self.failure) if self.failure else None}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> TrialLine:
        """What `to_json` wrote; fields it does not know are passed over."""
        failure = stored.get("failure")
        return cls(
            **{
                **_known(cls, stored),
                "phase": Phase(stored["phase"]),
                "state": State(stored["state"]),
                "arguments": tuple(stored.get("arguments", ())),
                "metrics": numbers(stored.get("metrics", {})),
                "values": number_row(stored.get("values", ())),
                "violations": numbers(stored.get("violations", {})),
                "intervals": intervals(stored.get("intervals", ())),
                "failure": Failure(**{**failure, "kind": FailureClass(failure["kind"])}) if failure else None,
            }
        )


def _shallow(line: RoundLine | TrialLine) -> dict[str, Any]:
    return {f.name: getattr(line, f.name) for f in dataclasses.fields(line)}


def _known(cls: type[RoundLine] | type[TrialLine], stored: Mapping[str, Any]) -> dict[str, Any]:
    names = {f.name for f in dataclasses.fields(cls)}
    return {key: value for key, value in stored.items() if key in names}
