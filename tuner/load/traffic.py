"""What keeps requests coming: streams (closed loop) or arrivals (open loop)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from tuner.load.connection import Clock, Connection
from tuner.load.connections import Connections
from tuner.load.exchange import OK, Exchange
from tuner.load.request_maker import RequestMaker
from tuner.load.schedule import Lengths

CLIENT_LIMIT = "client_limit"  # an arrival for which the client had no connection left
FIRST_PAUSE_SECONDS = 0.1  # of a stream after a failure: without one, refusals would be counted in thousands
LONGEST_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Share:
    """What one of `of` processes makes of a load: each `of`-th stream or arrival, from `index` on.

    Streams and arrivals keep the numbers that they have in the whole, and with them their lengths, prompts
    and times: all shares together are the load that one process would make.
    """

    index: int = 0
    of: int = 1

    def has(self, number: int) -> bool:
        """Whether the stream or arrival of that number is in it."""
        return number % self.of == self.index

    def numbers(self, count: int) -> range:
        """Its numbers among the first `count`."""
        return range(self.index, count, self.of)


WHOLE = Share()


@dataclass(slots=True)
class Pause:
    """When a stream stayed idle; `end` is None while it lasts."""

    start: float
    end: float | None = None


class Traffic(Protocol):
    """Requests that come until they are stopped.

    Attributes:
        exchanges: every request so far, in the order in which they were made.
        pauses: the times that streams stayed idle after a failure.
        steady: set once the ramp has done its work.
    """

    exchanges: list[Exchange]
    pauses: list[Pause]
    steady: asyncio.Event

    def start(self) -> None:
        """Begin the ramp."""
        ...

    def open_window(self, at: float) -> None:
        """The window opens at `at`."""
        ...

    async def stop(self) -> None:
        """Send no more, drop what is in flight."""
        ...


class ClosedLoop:
    """As many streams as the concurrency, each with one request in flight at any time.

    All streams of its share start at once, each with the remainder of a request, so that they are spread
    over the course of a request as if they had been running for long. The ramp is over when every
    stream's first request has given output or failed: from then on all places of the engine, and its
    queue, are filled as they will stay.

    Where the concurrency ramps, further streams begin inside the window, each with a whole request.

    Args:
        starts: when each stream begins: None for the ramp, else seconds after the window's opening.
    """

    def __init__(
        self,
        *,
        connections: list[Connection],
        maker: RequestMaker,
        lengths: list[Lengths],
        starts: Sequence[float | None],
        timeout_seconds: float,
        clock: Clock,
        share: Share = WHOLE,
    ) -> None:
        self.exchanges: list[Exchange] = []
        self.pauses: list[Pause] = []
        self.steady = asyncio.Event()
        self._share = share
        self._connections = connections
        self._maker = maker
        self._lengths = lengths
        self._starts = starts
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._not_begun = sum(start is None for start in starts)
        if not self._not_begun:
            self.steady.set()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin the ramp."""
        self._tasks = [
            _task(self._stream(index)) for index, start in enumerate(self._starts) if start is None
        ]

    def open_window(self, at: float) -> None:
        """The window opens at `at`: what begins inside it is on its way."""
        late = [(index, start) for index, start in enumerate(self._starts) if start is not None]
        self._tasks += [_task(self._begun_at(at + start, index)) for index, start in late]

    async def stop(self) -> None:
        """Send no more, drop what is in flight."""
        await _cancelled(self._tasks)

    async def _begun_at(self, moment: float, index: int) -> None:
        await sleep_until(moment, self._clock)
        await self._stream(index)

    async def _stream(self, index: int) -> None:
        connection, lengths = self._connections[index], self._lengths[index]
        stream = self._share.index + index * self._share.of  # its number in the whole
        on_its_way = self._starts[index] is None
        begun = not on_its_way

        def begin(_: Exchange) -> None:
            nonlocal begun
            if not begun:
                begun = True
                self._not_begun -= 1
                if not self._not_begun:
                    self.steady.set()

        pause, number = FIRST_PAUSE_SECONDS, 0
        while True:
            tokens, left = lengths.remainder() if on_its_way and not number else (lengths.next(), None)
            exchange, request = self._maker.make(f"{stream}.{number}", tokens, left=left)
            self.exchanges.append(exchange)
            await connection.send(
                request, exchange, timeout_seconds=self._timeout_seconds, on_first_output=begin
            )
            begin(exchange)
            number += 1
            if exchange.outcome == OK:
                pause = FIRST_PAUSE_SECONDS
                continue
            self.pauses.append(Pause(self._clock()))
            idle = self.pauses[-1]
            await asyncio.sleep(pause)
            idle.end = self._clock()
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


class OpenLoop:
    """Requests at scheduled times, however long answers take.

    The ramp has arrivals of its own and is over when at least as many requests have ended as are in flight
    (with a steady rate: after twice the time that a request takes). The window's arrivals count from its
    opening, so they are the same for every trial.

    Args:
        connections: free ones are taken, and given back when requests end.
        most_in_flight: arrivals beyond it are not sent, and counted as failed (`client_limit`).
    """

    def __init__(
        self,
        *,
        connections: Connections[Connection],
        maker: RequestMaker,
        ramp: tuple[Lengths, Iterator[float]],
        window: tuple[Lengths, Iterator[float]],
        timeout_seconds: float,
        most_in_flight: int,
        clock: Clock,
        share: Share = WHOLE,
    ) -> None:
        self.exchanges: list[Exchange] = []
        self.pauses: list[Pause] = []
        self.steady = asyncio.Event()
        self._connections = connections
        self._maker = maker
        self._ramp = ramp
        self._window = window
        self._timeout_seconds = timeout_seconds
        self._most_in_flight = most_in_flight
        self._clock = clock
        self._share = share
        self._ended = 0
        self._arrivals: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin the ramp."""
        self._arrive("ramp", self._ramp, self._clock())

    def open_window(self, at: float) -> None:
        """The window opens at `at`: its own arrivals begin."""
        self._arrive("window", self._window, at)

    async def stop(self) -> None:
        """Send no more, drop what is in flight."""
        tasks = [*self._tasks, *([self._arrivals] if self._arrivals else [])]
        await _cancelled(tasks)

    def _arrive(self, name: str, plan: tuple[Lengths, Iterator[float]], start: float) -> None:
        if self._arrivals is not None:
            self._arrivals.cancel()
        self._arrivals = _task(self._send_on_time(name, plan, start))

    async def _send_on_time(self, name: str, plan: tuple[Lengths, Iterator[float]], start: float) -> None:
        lengths, arrivals = plan
        for number, offset in enumerate(arrivals):
            tokens = lengths.next()
            if not self._share.has(number):
                continue
            intended = start + offset
            exchange, request = self._maker.make(f"{name}.{number}", tokens, intended=intended)
            await sleep_until(intended, self._clock)
            self.exchanges.append(exchange)
            if len(self._tasks) >= self._most_in_flight:
                exchange.end(
                    CLIENT_LIMIT, self._clock(), f"{self._most_in_flight} requests in flight already"
                )
                continue
            self._spawn(self._one(exchange, request))

    async def _one(self, exchange: Exchange, request: bytes) -> None:
        with self._connections.one() as connection:
            await connection.send(request, exchange, timeout_seconds=self._timeout_seconds)
        self._ended += 1
        if 2 * self._ended >= len(self.exchanges):
            self.steady.set()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = _task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def sleep_until(moment: float, clock: Clock) -> None:
    """Return at `moment` of the clock, at once where that has passed."""
    while (wait := moment - clock()) > 0:
        await asyncio.sleep(wait)


def _task(work: Coroutine[None, None, None]) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(work)


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
