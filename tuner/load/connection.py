"""One kept connection: a raw protocol that takes the time at each socket read, and who sends over it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from tuner.load.exchange import (
    CUT_STREAM,
    EMPTY,
    ERROR_IN_STREAM,
    MALFORMED,
    OK,
    REFUSED,
    TIMEOUT,
    Exchange,
    http_error,
    one_line,
)
from tuner.load.http_response import MalformedResponse
from tuner.load.origin import Origin
from tuner.load.stream import EventScanner, MalformedStream
from tuner.load.whole_chunk import ChunkReader

Clock = Callable[[], float]

CONNECT_TIMEOUT_SECONDS = 10.0
# A server may close a kept connection at the moment the next request is on its way. Closing without a byte
# of an answer this soon is that; later, the server has taken the request and dropped it.
STALE_WITHIN_SECONDS = 1.0
# After [DONE] an answer has all its output; the end of its framing follows at once, or the connection is
# not worth keeping.
DONE_GRACE_SECONDS = 0.25
_LONGEST_BODY = 4 * 1024 * 1024  # of an answer that is no event stream; a page of metrics fits


class Reply(asyncio.Protocol):
    """The protocol on one transport; at most one request at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._reader = ChunkReader()
        self._scanner: EventScanner | None = None
        self._body = bytearray()  # of an answer that is no event stream
        self._waiter: asyncio.Future[None] | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._on_first_output: Callable[[Exchange], None] | None = None
        self.alive = False
        self.stale = False  # closed without a byte of an answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self.alive = True

    def send(
        self,
        request: bytes,
        exchange: Exchange,
        *,
        streamed: bool,
        on_first_output: Callable[[Exchange], None] | None,
    ) -> asyncio.Future[None]:
        """Write a request; the future is done once `exchange` has an outcome, or the connection was stale."""
        assert self._transport is not None
        self._exchange = exchange
        self._reader = ChunkReader()
        self._scanner = EventScanner(exchange.output_times) if streamed else None
        self._body.clear()
        self._on_first_output = on_first_output
        self._waiter = asyncio.get_running_loop().create_future()
        exchange.sent = self._clock()
        self._transport.write(request)
        return self._waiter

    def body(self) -> bytes:
        """The answer's body, where it was no stream of events."""
        return bytes(self._body)

    def data_received(self, data: bytes) -> None:
        """asyncio's. The time is taken first, scanning comes after."""
        now = self._clock()
        exchange, scanner = self._exchange, self._scanner
        if exchange is None:
            self.drop()  # nothing was asked
            return
        reader = self._reader
        try:
            body = reader.feed(data)
            if body and scanner is not None and reader.status == 200:
                before = len(exchange.output_times)
                scanner.feed(body, now)
                if not before and exchange.output_times and self._on_first_output:
                    self._on_first_output(exchange)
            if body and not exchange.output_times and len(self._body) < _LONGEST_BODY:
                self._body += body
        except (MalformedResponse, MalformedStream) as error:
            self.drop()
            self._finish(MALFORMED, now, str(error))
            return
        if reader.complete:
            self._answered(now)
        elif scanner is not None and scanner.done and self._grace is None:
            self._grace = asyncio.get_running_loop().call_later(DONE_GRACE_SECONDS, self._give_up_on_end)

    def eof_received(self) -> bool:
        """asyncio's: the server closed its side; so does the client."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's: what had no outcome yet gets one."""
        self.alive = False
        exchange = self._exchange
        if exchange is None:
            return
        now = self._clock()
        self._reader.closed()
        if self._reader.complete or (self._scanner is not None and self._scanner.done):
            self._answered(now)
        elif not self._reader.started and exchange.sent is not None:
            self.stale = now - exchange.sent < STALE_WITHIN_SECONDS
            if self.stale:
                self._release()
            else:
                self._finish(CUT_STREAM, now, f"closed without an answer{_why(exc)}")
        else:
            chunks = len(exchange.output_times)
            self._finish(CUT_STREAM, now, f"closed after {chunks} chunks of output{_why(exc)}")

    def drop(self) -> None:
        """Close at once; unread data is thrown away."""
        self.alive = False
        if self._transport is not None:
            self._transport.abort()

    def abandon(self) -> None:
        """Close at once and leave the exchange without an outcome."""
        self._exchange = None
        self._release()
        self.drop()

    def fail(self, outcome: str, detail: str) -> None:
        """Close at once and settle the outcome."""
        self.drop()
        self._finish(outcome, self._clock(), detail)

    def _give_up_on_end(self) -> None:
        self._reader.reusable = False
        self._answered(self._clock())

    def _answered(self, now: float) -> None:
        exchange, scanner, status = self._exchange, self._scanner, self._reader.status
        assert exchange is not None
        if not self._reader.reusable:
            self.drop()
        if status != 200:
            self._finish(http_error(status), now, one_line(bytes(self._body)))
            return
        if scanner is None:
            self._finish(OK, now)
            return
        try:
            scanner.closed(now)
        except MalformedStream as error:
            self._finish(MALFORMED, now, str(error))
            return
        exchange.prompt_tokens = scanner.prompt_tokens
        exchange.completion_tokens = scanner.completion_tokens
        exchange.first_chunk_tokens = scanner.first_chunk_tokens
        if scanner.error is not None:
            self._finish(ERROR_IN_STREAM, now, scanner.error)
        elif exchange.output_times or scanner.completion_tokens:
            self._finish(OK, now)
        else:
            self._finish(EMPTY, now, bytes(self._body[:300]).decode("utf-8", "replace"))

    def _finish(self, outcome: str, now: float, detail: str = "") -> None:
        if self._exchange is not None:
            self._exchange.end(outcome, now, detail)
        self._release()

    def _release(self) -> None:
        self._exchange = None
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Connection:
    """One place to send requests over, one after the other; keeps its transport, reopens it when it must."""

    reply_type: type[Reply] = Reply  # what reads the answers

    def __init__(self, origin: Origin, *, clock: Clock) -> None:
        self._origin = origin
        self._clock = clock
        self._reply: Reply | None = None

    async def open(self) -> None:
        """Connect now rather than with the first request.

        Raises:
            OSError: no connection (TimeoutError and ssl.SSLError are among them).
        """
        if self._reply is None or not self._reply.alive:
            self._reply = await self._connect()

    async def send(
        self,
        request: bytes,
        exchange: Exchange,
        *,
        timeout_seconds: float,
        streamed: bool = True,
        on_first_output: Callable[[Exchange], None] | None = None,
    ) -> bytes:
        """Send one request and wait for its end. Failures settle `exchange.outcome`; nothing is raised.

        A kept connection that the server has closed is reopened without a word, and the request timed
        from its send on the new one. When the waiting task is cancelled the connection is dropped (an
        engine then stops working for it) and the exchange stays without an outcome.

        Returns:
            The answer's body where it was no stream of events.
        """
        for fresh in (False, True):
            kept = self._reply is not None and self._reply.alive
            try:
                await self.open()
            except (OSError, ssl.SSLError) as error:
                where = self._origin.address
                exchange.end(REFUSED, self._clock(), f"{where}: {error or type(error).__name__}")
                return b""
            reply = self._reply
            assert reply is not None
            done = reply.send(request, exchange, streamed=streamed, on_first_output=on_first_output)
            timer = asyncio.get_running_loop().call_later(
                timeout_seconds, reply.fail, TIMEOUT, f"no whole answer within {timeout_seconds:g} s"
            )
            try:
                await done
            except asyncio.CancelledError:
                reply.abandon()
                raise
            finally:
                timer.cancel()
            if not reply.stale:
                return reply.body()
            if fresh or not kept:
                exchange.end(CUT_STREAM, self._clock(), "closed without an answer")
            exchange.reopened = True
            if exchange.outcome:
                break
        return b""

    def close(self) -> None:
        """Drop the transport."""
        if self._reply is not None:
            self._reply.abandon()
            self._reply = None

    async def _connect(self) -> Reply:
        # Not wait_for: until Python 3.12 it swallows a cancellation that comes as the connection does.
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            _, reply = await asyncio.get_running_loop().create_connection(
                lambda: self.reply_type(self._clock),
                self._origin.host,
                self._origin.port,
                ssl=self._origin.tls,
                server_hostname=self._origin.host if self._origin.tls else None,
            )
        return reply


def _why(exc: Exception | None) -> str:
    return f" ({exc})" if exc else ""
