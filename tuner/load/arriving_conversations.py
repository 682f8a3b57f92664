"""Conversations in an open loop: they begin at scheduled times, their later turns follow the answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

from tuner.load.connection import Clock
from tuner.load.connections import Connections
from tuner.load.dialogue import Dialogue, thinks, under_way
from tuner.load.exchange import OK, Exchange
from tuner.load.loading import Beginnings, Loading
from tuner.load.request_maker import RequestMaker
from tuner.load.talking import TalkingConnection
from tuner.load.traffic import WHOLE, Arrivals, Share, sleep_until

_AT_A_TIME = 256  # conversations of the past that are drawn before others get their turn


class ArrivingConversations(Arrivals):
    """Conversations that begin at scheduled times, however long users think.

    First turns are timed from their intended send. A later turn has no time of its own: it is sent when its
    user has heard the answer before it and thought, and timed from its send. One that fails ends its
    conversation.

    The ramp starts with the conversations that would be under way, had they begun at the same rate for long
    and had the engine answered at once: their users are thinking, what was said before is made up. So turns
    come at the rate that they will keep, but for the time that answers take: the ramp is over when as many
    requests have ended as are in flight, for each turn that a conversation has on the mean.
    """

    def __init__(
        self,
        *,
        connections: Connections[TalkingConnection],
        maker: RequestMaker,
        loading: Loading,
        salt: str,
        timeout_seconds: float,
        most_in_flight: int,
        clock: Clock,
        share: Share = WHOLE,
    ) -> None:
        super().__init__(most_in_flight=most_in_flight, clock=clock, share=share)
        self._connections = connections
        self._maker = maker
        self._loading = loading
        self._name = f"{salt} {loading.name}"
        self._timeout_seconds = timeout_seconds
        self._in_flight = 0

    async def _arrive(self, name: str, start: float) -> None:
        beginnings = self._loading.beginnings(name)
        now = start - beginnings.past_seconds
        for number, (after, dialogue, thinking) in enumerate(self._drawn(beginnings, name)):
            intended = now + after
            if intended < start and not number % _AT_A_TIME:
                await asyncio.sleep(0)
            if not self._share.has(number):
                continue
            if intended >= start:
                await self._converse_from(dialogue, intended)
            elif (met := under_way(thinking, start - intended)) is not None:
                self._spawn(self._go_on(dialogue, turn=met[0], at=start + met[1]))

    def _drawn(self, beginnings: Beginnings, name: str) -> Iterator[tuple[float, Dialogue, list[float]]]:
        """Every conversation of the whole load, in the order in which they begin."""
        rng = random.Random(beginnings.seed)
        for number, after in enumerate(beginnings.seconds):
            asks = beginnings.talk(rng)
            thinking = thinks(asks, self._loading.thinking, rng)
            said = f"{self._name} {name}.{number}"
            yield after, Dialogue(asks, thinking, writers=self._loading.writers, name=said), thinking

    async def _converse_from(self, dialogue: Dialogue, intended: float) -> None:
        """Have a conversation begin when its time has come."""
        ask, carried = dialogue.ask()
        exchange, request = self._maker.request(carried, ask, intended=intended)
        await sleep_until(intended, self._clock)
        self.exchanges.append(exchange)
        self._spawn(self._converse(dialogue, exchange, request))

    async def _go_on(self, dialogue: Dialogue, *, turn: int, at: float) -> None:
        """A conversation that began before the ramp: its user is about to ask `turn`."""
        await sleep_until(at, self._clock)
        dialogue.meet(turn)
        await self._converse(dialogue, *self._next(dialogue))

    async def _converse(self, dialogue: Dialogue, exchange: Exchange, request: bytes) -> None:
        """Send what is asked, and what follows from the answers, until the conversation is over."""
        while (answer := await self._answer(exchange, request, heard=not dialogue.over)) is not None:
            await asyncio.sleep(dialogue.hear(answer))
            exchange, request = self._next(dialogue)

    def _next(self, dialogue: Dialogue) -> tuple[Exchange, bytes]:
        ask, carried = dialogue.ask()
        exchange, request = self._maker.request(carried, ask)
        self.exchanges.append(exchange)
        return exchange, request

    async def _answer(self, exchange: Exchange, request: bytes, *, heard: bool) -> str | None:
        """Send a request; the answer's text, None where there was none or nobody is to hear it."""
        if self._refused(exchange, in_flight=self._in_flight):
            return None
        self._in_flight += 1
        try:
            with self._connections.one() as connection:
                await connection.send(request, exchange, timeout_seconds=self._timeout_seconds)
                return connection.answer() if heard and exchange.outcome == OK else None
        finally:
            self._in_flight -= 1
            ended = len(self.exchanges) - self._in_flight
            if ended >= self._loading.mean_turns * self._in_flight:
                self.steady.set()
