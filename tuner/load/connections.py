"""The kept connections of one session: made when needed, opened ahead, within the limit of open files."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from tuner.load.connection import Connection

Kind = TypeVar("Kind", bound=Connection)

_OPEN_AT_ONCE = 64
_DESCRIPTORS_FOR_OTHERS = 128
_SPARE = 2


class Connections(Generic[Kind]):
    """Connections of one kind to one origin.

    Args:
        make: makes one, not open yet.
    """

    def __init__(self, make: Callable[[], Kind]) -> None:
        self._make = make
        self._free: list[Kind] = []  # all of them while nothing is in flight
        self._opening: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def one(self) -> Iterator[Kind]:
        """A free one for one request of an open loop, given back afterwards; a few are opened ahead."""
        connection = self._free.pop() if self._free else self._make()
        if len(self._free) < _SPARE:
            task = asyncio.get_running_loop().create_task(self._add_spare())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        try:
            yield connection
        finally:
            self._free.append(connection)

    def take(self, count: int) -> list[Kind]:
        """The first `count`, made where there are fewer; not opened. They stay in use as long as they are."""
        while len(self._free) < count:
            self._free.append(self._make())
        return self._free[:count]

    async def open(self, count: int) -> None:
        """Open the first `count`; one that cannot be is met again, and counted, with its first request."""
        wanted = self.take(count)
        for start in range(0, count, _OPEN_AT_ONCE):
            batch = wanted[start : start + _OPEN_AT_ONCE]
            await asyncio.gather(*(c.open() for c in batch), return_exceptions=True)

    async def close(self) -> None:
        """Drop them all."""
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for connection in self._free:
            connection.close()
        await asyncio.sleep(0)  # lets the transports close

    async def _add_spare(self) -> None:
        spare = self._make()
        try:
            with contextlib.suppress(OSError):
                await spare.open()
        finally:
            self._free.append(spare)


def most_connections(wanted: int) -> int:
    """How many may be open at once, after raising the limit of open files as far as `wanted` asks."""
    return _descriptors(wanted + _DESCRIPTORS_FOR_OTHERS) - _DESCRIPTORS_FOR_OTHERS


def _descriptors(wanted: int) -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return 1_000_000 if soft == resource.RLIM_INFINITY else soft
