"""Conversations in a closed loop: each turn carries the earlier ones and the answers that were received.

Answers are read after they have ended, from bytes that are kept beside the measuring: nothing is decoded
while tokens arrive.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from tuner.load.connection import CONNECT_TIMEOUT_SECONDS, Clock, Connection, Reply
from tuner.load.exchange import OK, Exchange
from tuner.load.http_response import ResponseReader
from tuner.load.loading import Loading
from tuner.load.origin import Origin
from tuner.load.request_maker import RequestMaker
from tuner.load.schedule import Ask
from tuner.load.traffic import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, WHOLE, Pause, Share, sleep_until
from tuner.spec.dataset_rows import Message


class KeepingReply(Reply):
    """A reply that keeps what it reads, after the time has been taken and the scanning done."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.read: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        """asyncio's."""
        super().data_received(data)
        self.read.append(data)

    def send(self, *given: Any, **named: Any) -> asyncio.Future[None]:
        """See Reply."""
        self.read = []
        return super().send(*given, **named)


class TalkingConnection(Connection):
    """A connection that can tell the last answer's text."""

    def answer(self) -> str:
        """The text of the last answer, without its reasoning; "" where it had none."""
        return answer_text(b"".join(self._reply.read)) if isinstance(self._reply, KeepingReply) else ""

    async def _connect(self) -> Reply:
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            _, reply = await asyncio.get_running_loop().create_connection(
                lambda: KeepingReply(self._clock),
                self._origin.host,
                self._origin.port,
                ssl=self._origin.tls,
                server_hostname=self._origin.host if self._origin.tls else None,
            )
        return reply


class TalkingConnections:
    """The kept ones of a session; each opens with its first request."""

    def __init__(self, origin: Origin, *, clock: Clock) -> None:
        self._origin = origin
        self._clock = clock
        self._made: list[TalkingConnection] = []

    def take(self, count: int) -> list[TalkingConnection]:
        """The first `count`, made where there are fewer."""
        while len(self._made) < count:
            self._made.append(TalkingConnection(self._origin, clock=self._clock))
        return self._made[:count]

    def close(self) -> None:
        """Drop them all."""
        for connection in self._made:
            connection.close()


def answer_text(response: bytes) -> str:
    """What a streamed chat completion says, from the whole response with its head."""
    body = ResponseReader().feed(response)
    pieces: list[str] = []
    for line in body.split(b"\n"):
        if not line.startswith(b"data:") or b'"content"' not in line:
            continue
        try:
            event = json.loads(line[5:])
            pieces += [c.get("delta", {}).get("content") or "" for c in event.get("choices", ())]
        except (ValueError, AttributeError):  # no event of a completion
            continue
    return "".join(pieces)


class Conversing:
    """So many conversations at a time, one request of each in flight or its user thinking.

    Each starts somewhere on its way, with what the user and the engine are made to have said before, so
    that the streams are spread over the turns as if they had been running for long. From then on every
    answer that is carried is the one that was received. A turn that fails ends its conversation.

    A user who thinks is idle by intent: it is told as a pause.

    Args:
        loading: what it says and how long its users think; its seed is that of turns and thinking too.
        starts: when each stream begins: None for the ramp, on its way; else seconds after the window's
            opening, with a whole conversation.
    """

    def __init__(
        self,
        *,
        connections: list[TalkingConnection],
        maker: RequestMaker,
        loading: Loading,
        starts: Sequence[float | None],
        salt: str,
        timeout_seconds: float,
        clock: Clock,
        share: Share = WHOLE,
    ) -> None:
        self.exchanges: list[Exchange] = []
        self.pauses: list[Pause] = []
        self.steady = asyncio.Event()
        self._connections = connections
        self._maker = maker
        self._writers = loading.writers
        self._thinking = loading.thinking
        self._talks = [loading.talk(share.index + k * share.of) for k in range(len(connections))]
        self._seed = loading.seed
        self._name = f"{salt} {loading.name}"
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._share = share
        self._starts = starts
        self._not_begun = {index for index, start in enumerate(starts) if start is None}
        if not self._not_begun:
            self.steady.set()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin the ramp: over when every stream's first request has given output or failed."""
        loop = asyncio.get_running_loop()
        early = [index for index, start in enumerate(self._starts) if start is None]
        self._tasks = [loop.create_task(self._stream(index)) for index in early]

    def open_window(self, at: float) -> None:
        """The window opens at `at`: what begins inside it is on its way."""
        loop = asyncio.get_running_loop()
        late = [(index, start) for index, start in enumerate(self._starts) if start is not None]
        self._tasks += [loop.create_task(self._begun_at(at + start, index)) for index, start in late]

    async def stop(self) -> None:
        """Send no more, drop what is in flight."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _begun_at(self, moment: float, index: int) -> None:
        await sleep_until(moment, self._clock)
        await self._stream(index)

    async def _stream(self, index: int) -> None:
        stream = self._share.index + index * self._share.of  # its number in the whole
        rng = random.Random(f"{self._seed} {stream}")
        number, pause = 0, FIRST_PAUSE_SECONDS
        while True:
            asks = self._talks[index](rng)
            on_its_way = self._starts[index] is None and not number
            first = rng.randrange(len(asks)) if on_its_way else 0
            left = rng.randint(1, asks[first].output_tokens) if on_its_way else None
            thinks = [self._think_seconds(ask.part, rng) for ask in asks]
            name = f"{self._name} {stream}.{number}"
            said: list[Message] = []
            for ask in asks[:first]:
                said += self._stand_in(ask, name)
            if await self._talk(index, name, said, asks[first:], thinks=thinks[first:], left=left):
                pause = FIRST_PAUSE_SECONDS
            else:
                await self._idle(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            number += 1

    def _stand_in(self, ask: Ask, name: str) -> list[Message]:
        writer, seed = self._writers[ask.part], f"{name}.{ask.turn}"
        return [*writer.turn(ask, seed=seed), ("assistant", writer.answer(ask, seed=seed))]

    async def _talk(
        self,
        index: int,
        name: str,
        said: list[Message],
        asks: list[Ask],
        *,
        thinks: list[float],
        left: int | None,
    ) -> bool:
        """The rest of a conversation after what is `said`; whether all its turns were answered."""
        connection, begun = self._connections[index], self._begun(index)
        for ask, think_seconds in zip(asks, thinks, strict=True):
            said += self._writers[ask.part].turn(ask, seed=f"{name}.{ask.turn}")
            exchange, request = self._maker.request(tuple(said), ask, left=left)
            left = None
            self.exchanges.append(exchange)
            await connection.send(
                request, exchange, timeout_seconds=self._timeout_seconds, on_first_output=begun
            )
            begun(exchange)
            if exchange.outcome != OK:
                return False
            if ask is not asks[-1]:
                said.append(("assistant", connection.answer()))
                await self._idle(think_seconds)
        return True

    def _begun(self, index: int) -> Callable[[Exchange], None]:
        def begun(_: Exchange) -> None:
            self._not_begun.discard(index)
            if not self._not_begun:
                self.steady.set()

        return begun

    def _think_seconds(self, part: int, rng: random.Random) -> float:
        thinking = self._thinking[part]
        if thinking is None or not thinking.think_seconds:
            return 0.0
        if thinking.think == "constant":
            return thinking.think_seconds
        return rng.expovariate(1 / thinking.think_seconds)

    async def _idle(self, seconds: float) -> None:
        if seconds <= 0:
            return
        self.pauses.append(Pause(self._clock()))
        idle = self.pauses[-1]
        await asyncio.sleep(seconds)
        idle.end = self._clock()
