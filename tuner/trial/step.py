"""What one step of a trial's life gave; JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tuner.errors import Failure, FailureClass
from tuner.trial.answers import Answers
from tuner.trial.ports import State
from tuner.trial.rounds import RoundResult

_PLAIN = (
    "stops_run",
    "times",
    "node",
    "engine_version",
    "cold",
    "begun",
    "first_request",
)  # JSON as they are


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of a trial's life gave.

    Attributes:
        round: measured in this step; None where the trial ended without one.
        ended: set on the last step only.
        failure: why, where it ended without a measurement.
        stops_run: True where no trial can be deployed at all.
        times: seconds of each part so far: waited, started, healthy, served, opened, warmup, rounds;
            deploying where that failed.
        begun: Unix time at which the trial's actor took it up.
        first_request: Unix time at which the first request of the deployment was sent; None before.
        answers: what it answered, on the first step after that was asked; None where it was not.
    """

    round: RoundResult | None
    ended: State | None = None
    failure: Failure | None = None
    stops_run: bool = False
    times: dict[str, float] = field(default_factory=dict)
    node: str = ""
    engine_version: str = ""
    cold: bool | None = None
    begun: float = 0.0
    first_request: float | None = None
    answers: Answers | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back without loss."""
        return {
            **{k: getattr(self, k) for k in _PLAIN},
            "round": self.round.to_json() if self.round else None,
            "ended": self.ended,
            "failure": asdict(self.failure) if self.failure else None,
            "answers": self.answers.to_json() if self.answers else None,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Step:
        """What `to_json` wrote."""
        failure = stored["failure"]
        return cls(
            round=RoundResult.from_json(stored["round"]) if stored["round"] else None,
            ended=State(stored["ended"]) if stored["ended"] else None,
            failure=Failure(**{**failure, "kind": FailureClass(failure["kind"])}) if failure else None,
            answers=Answers.from_json(stored["answers"]) if stored["answers"] else None,
            **{k: stored[k] for k in _PLAIN},
        )
