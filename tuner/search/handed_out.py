"""A deployment that a desk handed out and that has not ended."""

from __future__ import annotations

from dataclasses import dataclass, field

from tuner.search.strategy import Assignment
from tuner.trial.ports import TrialConfig
from tuner.trial.step import Step


@dataclass(slots=True)
class HandedOut:
    """What is known of it so far.

    Attributes:
        started: Unix time at which it was handed out.
        last: what was seen of it last.
        rounds: the numbers of those that were taken in.
        answered: its answers were taken in.
        stopping: why it should stop; None for going on.
    """

    assignment: Assignment
    trial: TrialConfig
    started: float
    last: Step | None = None
    rounds: list[int] = field(default_factory=list)
    answered: bool = False
    stopping: str | None = None

    def placed(self, ended: float) -> float:
        """When its actor took it up; until then it waited for its place and held nothing."""
        begun = self.last.begun if self.last is not None else 0.0
        return min(max(begun, self.started), ended)

    def times(self, ended: float) -> dict[str, float]:
        """Seconds by part, from being handed out on; `total` is all of it, what no part explains included."""
        parts = {"queue": self.placed(ended) - self.started, **(self.last.times if self.last else {})}
        return {**{k: round(v, 4) for k, v in parts.items()}, "total": round(ended - self.started, 4)}
