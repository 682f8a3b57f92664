"""When deployments may be handed out: within `search.window`, and only where they end before it closes.

At the closing what still runs is stopped, for the accelerators are somebody else's from then on; it is
measured again in the next window. Without a window everything is always open.
"""

from __future__ import annotations

from collections.abc import Callable

from tuner.search.history import History
from tuner.spec.window import Window
from tuner.trial.ports import State

_EARLY_SHARE = 0.1  # of a window: what takes longer than all of it is only tried at its beginning


class Opening:
    """One run's.

    Args:
        expected_seconds: of a deployment of so many rounds, from its start to its end.
        now: Unix time.
    """

    def __init__(
        self, window: Window | None, *, expected_seconds: Callable[[int], float], now: Callable[[], float]
    ) -> None:
        self.window = window
        self._expected_seconds = expected_seconds
        self._now = now

    @property
    def closed(self) -> bool:
        """Whether nothing may run now."""
        return self.window is not None and self.window.open_now(self._now()) is None

    @property
    def cut_short(self) -> str:
        """Why a deployment ends before its time; "" where it does not."""
        if self.window is None or not self.closed:
            return ""
        return f"search.window {self.window.text} closed; it is measured again in the next"

    def admits(self, rounds: int) -> bool:
        """Whether a deployment of so many rounds may be handed out now."""
        if self.window is None:
            return True
        now = self._now()
        found = self.window.open_now(now)
        if found is None:
            return False
        since, until = found
        expected = self._expected_seconds(rounds)
        if expected < until - since:
            return now + expected <= until
        return now - since <= _EARLY_SHARE * (until - since)

    def told(self, until: float | None) -> str:
        """What a person reads of a pause that ends at `until`, Unix time; "" for none."""
        if until is None or self.window is None:
            return ""
        return f"paused until {self.window.shown(until)} (search.window {self.window.text})"

    def opens_at(self) -> float:
        """The next opening, Unix time; now where there is no window."""
        return self._now() if self.window is None else self.window.opens_at(self._now())


class Pauses:
    """How long a run has been paused, counted from look to look.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.seconds = 0.0
        self._clock = clock
        self._since: float | None = None

    def look(self, *, paused: bool) -> None:
        """Whether it is paused now."""
        now = self._clock()
        if self._since is not None:
            self.seconds += now - self._since
        self._since = now if paused else None


def always_open() -> Opening:
    """Where there is no window."""
    return Opening(None, expected_seconds=lambda rounds: 0.0, now=lambda: 0.0)


def expected_seconds(history: History, rounds: int, *, first_guess: float) -> float:
    """How long a deployment of so many rounds takes, from its start to its end.

    Judged by those that were measured to their end: the longest time that one took beside its rounds, and
    rounds at their mean.

    Args:
        first_guess: while none has ended.
    """
    ended = [d for d in history.deployments() if d.state is State.COMPLETE and d.rounds and d.seconds > 0]
    if not ended:
        return first_guess
    measuring = [d.times.get("rounds", 0.0) for d in ended]
    beside = max(d.seconds - seconds for d, seconds in zip(ended, measuring, strict=True))
    return beside + rounds * sum(measuring) / sum(len(d.rounds) for d in ended)
