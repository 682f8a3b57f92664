"""Requests that know nothing of each other, in a closed and in an open loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuner.load.connection import Clock, Connection
from tuner.load.connections import Connections
from tuner.load.exchange import OK, Exchange
from tuner.load.request_maker import RequestMaker
from tuner.load.schedule import Lengths
from tuner.load.traffic import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    WHOLE,
    Arrivals,
    Share,
    Streams,
    sleep_until,
)


class ClosedLoop(Streams):
    """As many streams of lone requests as the concurrency.

    Those of the ramp start at once, each with the remainder of a request, so that they are spread over the
    course of a request as if they had been running for long; those inside the window with a whole one.
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
        super().__init__(starts=starts, clock=clock, share=share)
        self._connections = connections
        self._maker = maker
        self._lengths = lengths
        self._timeout_seconds = timeout_seconds

    async def _stream(self, index: int) -> None:
        connection, lengths, begun = self._connections[index], self._lengths[index], self._begun(index)
        stream, on_its_way = self._number(index), self._starts[index] is None
        pause, number = FIRST_PAUSE_SECONDS, 0
        while True:
            tokens, left = lengths.remainder() if on_its_way and not number else (lengths.next(), None)
            exchange, request = self._maker.make(f"{stream}.{number}", tokens, left=left)
            self.exchanges.append(exchange)
            await connection.send(
                request, exchange, timeout_seconds=self._timeout_seconds, on_first_output=begun
            )
            begun(exchange)
            number += 1
            if exchange.outcome == OK:
                pause = FIRST_PAUSE_SECONDS
                continue
            await self._idle(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


class OpenLoop(Arrivals):
    """Lone requests at scheduled times.

    The ramp is over when at least as many requests have ended as are in flight (with a steady rate: after
    twice the time that a request takes).

    Args:
        connections: free ones are taken, and given back when requests end.
        most_in_flight: see Arrivals.
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
        super().__init__(most_in_flight=most_in_flight, clock=clock, share=share)
        self._connections = connections
        self._maker = maker
        self._plans = {"ramp": ramp, "window": window}
        self._timeout_seconds = timeout_seconds
        self._ended = 0

    async def _arrive(self, name: str, start: float) -> None:
        lengths, arrivals = self._plans[name]
        for number, offset in enumerate(arrivals):
            tokens = lengths.next()
            if not self._share.has(number):
                continue
            intended = start + offset
            exchange, request = self._maker.make(f"{name}.{number}", tokens, intended=intended)
            await sleep_until(intended, self._clock)
            self.exchanges.append(exchange)
            if not self._refused(exchange, in_flight=len(self._tasks)):
                self._spawn(self._one(exchange, request))

    async def _one(self, exchange: Exchange, request: bytes) -> None:
        with self._connections.one() as connection:
            await connection.send(request, exchange, timeout_seconds=self._timeout_seconds)
        self._ended += 1
        if 2 * self._ended >= len(self.exchanges):
            self.steady.set()
