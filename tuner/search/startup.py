"""Where the time from the command to the first request went."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

TRIAL_ACTOR = "trial actor"  # Tune's loop and the first trial's process
FIRST_REQUEST = "first deployment"
RAYS = ("ray", "ray.tune", "workers", TRIAL_ACTOR)  # parts that are Ray's own


class Stopwatch:
    """Marks the ends of parts, from the start of the process on."""

    def __init__(self, *, now: Callable[[], float] = time.time, started: float | None = None) -> None:
        self.started = psutil.Process().create_time() if started is None else started
        self._now = now
        self._last = self.started
        self.parts: dict[str, float] = {}

    def mark(self, part: str, *, at: float | None = None) -> None:
        """The time since the last mark belongs to `part`; `at` is a Unix time instead of now."""
        moment = self._now() if at is None else at
        self.parts[part] = round(self.parts.get(part, 0.0) + max(0.0, moment - self._last), 3)
        self._last = max(self._last, moment)

    @property
    def total(self) -> float:
        """Seconds of all parts."""
        return sum(self.parts.values())

    @property
    def ours(self) -> float:
        """Seconds that are not Ray's."""
        return sum(v for k, v in self.parts.items() if k not in RAYS)
