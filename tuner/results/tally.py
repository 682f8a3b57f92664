"""What a run did and cost, in counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from tuner.results.overview import Overview


@dataclass(frozen=True, slots=True)
class Tally:
    """What a run did and cost.

    Attributes:
        trials: of the search, by how they ended.
        deployments: of all phases, those that failed too.
        failures: of all phases, by class.
        marks: rounds by mark; "rounds" is all of them.
        seconds: wall time of all sessions; 0 while the first one is under way.
    """

    trials: Counter[str]
    deployments: int
    failures: Counter[str]
    marks: Counter[str]
    accelerator_hours: float
    seconds: float

    @classmethod
    def of(cls, seen: Overview) -> Tally:
        """Of everything that has ended."""
        failures = Counter(str(line.failure.kind) for line in seen.trials if line.failure is not None)
        hours, seconds = seen.accelerator_hours, seen.state.elapsed_seconds
        return cls(seen.outcomes, len(seen.trials), failures, seen.trust, hours, seconds)

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "trials": {"all": self.trials.total(), **self.trials},
            "deployments": self.deployments,
            "failures": dict(self.failures),
            "rounds": dict(self.marks),
            "accelerator_hours": self.accelerator_hours,
            "seconds": self.seconds,
        }
