"""The kept connections of one session: made when needed, opened ahead, within the limit of open files."""

from __future__ import annotations

import asyncio
import resource

from tuner.load.connection import Clock, Connection
from tuner.load.origin import Origin

_OPEN_AT_ONCE = 64
_DESCRIPTORS_FOR_OTHERS = 128


class Connections:
    """Connections to one origin.

    Attributes:
        free: all of them while nothing is in flight; an open loop takes from here and gives back.
    """

    def __init__(self, origin: Origin, *, clock: Clock) -> None:
        self.free: list[Connection] = []
        self._origin = origin
        self._clock = clock

    def new(self) -> Connection:
        """One that is in no list yet."""
        return Connection(self._origin, clock=self._clock)

    def take(self, count: int) -> list[Connection]:
        """The first `count`, made where there are fewer; not opened."""
        while len(self.free) < count:
            self.free.append(self.new())
        return self.free[:count]

    async def open(self, count: int) -> None:
        """Open the first `count`; one that cannot be is met again, and counted, with its first request."""
        wanted = self.take(count)
        for start in range(0, count, _OPEN_AT_ONCE):
            batch = wanted[start : start + _OPEN_AT_ONCE]
            await asyncio.gather(*(c.open() for c in batch), return_exceptions=True)

    async def close(self) -> None:
        """Drop them all."""
        for connection in self.free:
            connection.close()
        await asyncio.sleep(0)  # lets the transports close


def most_connections(wanted: int) -> int:
    """How many may be open at once, after raising the limit of open files as far as `wanted` asks."""
    return _descriptors(wanted + _DESCRIPTORS_FOR_OTHERS) - _DESCRIPTORS_FOR_OTHERS


def _descriptors(wanted: int) -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return 1_000_000 if soft == resource.RLIM_INFINITY else soft
