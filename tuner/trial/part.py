"""Where the seconds of a deployment go."""

from __future__ import annotations

from collections.abc import Callable


class Part:
    """Adds the seconds spent inside to `times[name]`, also when it ends with an error."""

    def __init__(self, times: dict[str, float], name: str, clock: Callable[[], float]) -> None:
        self._times, self._name, self._clock = times, name, clock

    def __enter__(self) -> None:
        self._start = self._clock()

    def __exit__(self, *_: object) -> None:
        self._times[self._name] = self._times.get(self._name, 0.0) + self._clock() - self._start
