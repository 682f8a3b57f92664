"""What the asking process and a load process say to each other, and how: pickled, each with its length."""

from __future__ import annotations

import asyncio
import pickle
import socket
from dataclasses import dataclass
from typing import Any

from tuner.load.interim import Interim
from tuner.load.payload import Api
from tuner.load.preparation import Prepared
from tuner.load.round import Passed
from tuner.load.traffic import Share
from tuner.spec.workload import LoadPoint, Workload
from tuner.trial.ports import Endpoint

_LENGTH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Opening:
    """The first word to a load process: what it will load. Answered by Ready."""

    endpoint: Endpoint
    workload: Workload
    api: Api
    salt: str
    found: Prepared


@dataclass(frozen=True, slots=True)
class Ready:
    """It can load."""


@dataclass(frozen=True, slots=True)
class PassShare:
    """Make a share of one window's load. Answered by Ramped, Told, Drained and, after AllDrained, Done."""

    point: LoadPoint
    number: int | str
    share: Share
    window_seconds: float


@dataclass(frozen=True, slots=True)
class WarmUpShare:
    """Make a share of a load and keep nothing. Answered by WarmedUp."""

    point: LoadPoint
    share: Share
    seconds: float


@dataclass(frozen=True, slots=True)
class Ramped:
    """The ramp has done its work."""


@dataclass(frozen=True, slots=True)
class OpensAt:
    """When the window opens, seconds of the monotonic clock that all processes of a machine share."""

    at: float


@dataclass(frozen=True, slots=True)
class Told:
    """What is known so far; about once a second."""

    interim: Interim


@dataclass(frozen=True, slots=True)
class Drained:
    """Nothing of the window is waited for any more."""


@dataclass(frozen=True, slots=True)
class AllDrained:
    """That holds in every process: the load may stop."""


@dataclass(frozen=True, slots=True)
class Done:
    """The share's requests, and what making them cost."""

    passed: Passed


@dataclass(frozen=True, slots=True)
class WarmedUp:
    """The warm-up is over; it cost so much of a core, and the loop was so late."""

    cpu_share: float
    lag_p99_ms: float


@dataclass(frozen=True, slots=True)
class Broken:
    """Why the load process ends, on one line."""

    why: str


class Wire:
    """One end of a stream socket between two processes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Wire:
        """Take over a connected socket."""
        return cls(*await asyncio.open_connection(sock=end))

    async def send(self, message: object) -> None:
        """Write a message.

        Raises:
            OSError: nobody reads any more.
        """
        packed = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        self._writer.write(len(packed).to_bytes(_LENGTH_BYTES, "big") + packed)
        await self._writer.drain()

    async def receive(self) -> Any:
        """The next message.

        Raises:
            EOFError, OSError: the other process is gone (IncompleteReadError is an EOFError).
        """
        length = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES), "big")
        return pickle.loads(await self._reader.readexactly(length))

    def close(self) -> None:
        """Close this end."""
        self._writer.close()
