"""What a controller has to look at, each once, now or later; a failed look comes again ever later."""

from __future__ import annotations

import threading
from collections.abc import Callable

Key = tuple[str, str]

_FIRST_DELAY_SECONDS = 0.005
_LONGEST_DELAY_SECONDS = 1000.0


class WorkQueue:
    """A queue of (namespace, name) for one worker.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._changed = threading.Condition()

    def add(self, key: Key, *, delay_seconds: float = 0.0) -> None:
        """Have the key come up after the delay, or earlier where it is to come up earlier already."""
        with self._changed:
            due = self._clock() + delay_seconds
            self._due[key] = min(due, self._due.get(key, due))
            self._changed.notify()

    def get(self) -> Key:
        """The key that has been due longest; waits for one."""
        with self._changed:
            while True:
                first = min(self._due, key=self._due.__getitem__, default=None)
                wait = None if first is None else self._due[first] - self._clock()
                if first is not None and wait is not None and wait <= 0:
                    del self._due[first]
                    return first
                self._changed.wait(wait)

    def succeeded(self, key: Key) -> None:
        """Forget that the key has failed."""
        self._failures.pop(key, None)

    def failed(self, key: Key) -> float:
        """Have the key come up again, twice as late as the last time; returns the delay in seconds."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        delay = min(_FIRST_DELAY_SECONDS * 2**count, _LONGEST_DELAY_SECONDS)
        self.add(key, delay_seconds=delay)
        return delay
