"""How high a load is over the window of a round: the same throughout, or going evenly to another height."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Level:
    """Requests in flight, or arrivals per second, over a window: `start` at its opening, `end` at its close.

    Before the window it is at its start, after it at its end, between the two it changes evenly.
    """

    start: float
    end: float

    @property
    def ramps(self) -> bool:
        """Whether it changes."""
        return self.start != self.end

    @property
    def mean(self) -> float:
        """Over the window."""
        return (self.start + self.end) / 2

    @property
    def peak(self) -> float:
        """The highest."""
        return max(self.start, self.end)

    def by_part(self, parts: int) -> list[float]:
        """The means over so many equal parts of the window."""
        return [self.start + (self.end - self.start) * (k + 0.5) / parts for k in range(parts)]

    def reached(self, total: float, window_seconds: float) -> float:
        """When the level's integral from the window's opening on has grown to `total`, in seconds.

        The inverse of a t + (b - a) t^2 / (2 w) within the window, in the form that stays exact where the
        level hardly changes.
        """
        within = self.mean * window_seconds
        if total > within:
            return window_seconds + (total - within) / self.end
        slope = (self.end - self.start) / window_seconds
        return 2 * total / (self.start + math.sqrt(max(0.0, self.start**2 + 2 * slope * total)))

    def __str__(self) -> str:
        return f"{self.start:g} to {self.end:g}" if self.ramps else f"{self.start:g}"
