"""The time in which the cluster could not be seen, which counts for no deadline."""

from __future__ import annotations

AFTERWARDS_SECONDS = 60.0  # controllers that lost their API server are started again, ever more slowly


class Blindness:
    """Remembers every absence of the API server during one deployment.

    What went on meanwhile is not known, and who answers to the API server needs a while to come back: as much
    again as the absence took, and a minute at most.
    """

    def __init__(self) -> None:
        self._past: list[tuple[float, float]] = []  # from, until
        self._since: float | None = None

    def look(self, away_since: float | None, *, now: float) -> None:
        """How it is now: monotonic seconds since when there was no answer, None where there is one."""
        if away_since is None and self._since is not None:
            self._past.append((self._since, now + min(now - self._since, AFTERWARDS_SECONDS)))
        self._since = away_since

    def seconds(self, since: float) -> float:
        """How much of the time after `since` does not count; may lie partly ahead."""
        return sum(until - max(begun, since) for begun, until in self._past if until > since)
