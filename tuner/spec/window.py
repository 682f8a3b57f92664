"""`search.window`: the hours in which trials may run, by a wall clock that knows daylight saving time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tuner.spec.faults import Fault, show

_FORM = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)(?: +(\S+))?")
_RIGHT = 'hours such as "22:00-06:00" or "22:00-06:00 Europe/Berlin"'
_DAYS = (-1, 0, 1, 2)  # around today: a window over midnight began yesterday


@dataclass(frozen=True, slots=True)
class Window:
    """Every day from `begin` to `end`; over midnight where `end` is the earlier.

    Attributes:
        zone: of the hours; None for this machine's.
        text: as the experiment has it.
    """

    begin: time
    end: time
    zone: tzinfo | None
    text: str

    @classmethod
    def parsed(cls, text: str) -> Window:
        """From HH:MM-HH:MM, with the name of a time zone behind it where this machine's is not meant.

        Raises:
            Fault: it is none.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise Fault(got=show(text), right=_RIGHT)
        begin, end = time(int(match[1]), int(match[2])), time(int(match[3]), int(match[4]))
        if begin == end:
            raise Fault(got=show(text), right="an end that is not the beginning; all day: no window")
        try:
            zone = ZoneInfo(match[5]) if match[5] else None
        except (ZoneInfoNotFoundError, ValueError, OSError):
            right = "a time zone such as Europe/Berlin or UTC behind the hours, or none for this machine's"
            raise Fault(got=show(match[5]), right=right) from None
        return cls(begin, end, zone, text)

    @property
    def shortest_seconds(self) -> float:
        """How long it is open on a day without a change of the clock."""
        begin, end = (at.hour * 3600 + at.minute * 60 for at in (self.begin, self.end))
        return float((end - begin) % 86_400)

    def open_now(self, now: float) -> tuple[float, float] | None:
        """(since, until) of the window that is open; None where none is. Unix times."""
        return next(((begin, end) for begin, end in self._around(now) if begin <= now < end), None)

    def opens_at(self, now: float) -> float:
        """When it opens next. Unix times."""
        return min(begin for begin, _ in self._around(now) if begin > now)

    def shown(self, moment: float) -> str:
        """A Unix time by the window's clock, for a person."""
        return self._local(moment).strftime("%Y-%m-%d %H:%M %Z").strip()

    def _around(self, now: float) -> list[tuple[float, float]]:
        """(from, until) of the windows that begin on the days around `now`."""
        today = self._local(now).date()
        found = []
        for days in _DAYS:
            day = today + timedelta(days=days)
            last = day + timedelta(days=1) if self.end < self.begin else day
            found.append((self._moment(day, self.begin), self._moment(last, self.end)))
        return found

    def _moment(self, day: date, at: time) -> float:
        """Unix time; an hour that a change of the clock leaves out is the moment of the change and on."""
        return datetime.combine(day, at, self.zone).timestamp()

    def _local(self, moment: float) -> datetime:
        return datetime.fromtimestamp(moment, UTC).astimezone(self.zone)
