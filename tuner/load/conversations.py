"""Conversations in a closed loop: each turn carries the earlier ones and the answers that were received."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tuner.load.connection import Clock
from tuner.load.dialogue import Dialogue, thinks
from tuner.load.exchange import OK
from tuner.load.loading import Loading
from tuner.load.request_maker import RequestMaker
from tuner.load.talking import TalkingConnection
from tuner.load.traffic import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, WHOLE, Share, Streams


class Conversing(Streams):
    """So many conversations at a time, one request of each in flight or its user thinking.

    Each starts somewhere on its way, with what the user and the engine are made to have said before, so
    that the streams are spread over the turns as if they had been running for long. From then on every
    answer that is carried is the one that was received. A turn that fails ends its conversation.

    A user who thinks is idle by intent: it is told as a pause.

    Args:
        loading: what it says and how long its users think; its seed is that of turns and thinking too.
        starts: see Streams; those of the ramp are on their way, those inside the window begin a whole
            conversation.
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
        super().__init__(starts=starts, clock=clock, share=share)
        self._connections = connections
        self._maker = maker
        self._writers = loading.writers
        self._thinking = loading.thinking
        self._talks = [loading.talk(self._number(k)) for k in range(len(connections))]
        self._seed = loading.seed
        self._name = f"{salt} {loading.name}"
        self._timeout_seconds = timeout_seconds

    async def _stream(self, index: int) -> None:
        stream = self._number(index)
        rng = random.Random(f"{self._seed} {stream}")
        number, pause = 0, FIRST_PAUSE_SECONDS
        while True:
            asks = self._talks[index](rng)
            on_its_way = self._starts[index] is None and not number
            first = rng.randrange(len(asks)) if on_its_way else 0
            left = rng.randint(1, asks[first].output_tokens) if on_its_way else None
            dialogue = Dialogue(
                asks,
                thinks(asks, self._thinking, rng),
                writers=self._writers,
                name=f"{self._name} {stream}.{number}",
            )
            dialogue.meet(first)
            if await self._talk(index, dialogue, left=left):
                pause = FIRST_PAUSE_SECONDS
            else:
                await self._idle(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            number += 1

    async def _talk(self, index: int, dialogue: Dialogue, *, left: int | None) -> bool:
        """The rest of a conversation; whether all its turns were answered.

        Args:
            left: ask for only so much of the next answer.
        """
        connection, begun = self._connections[index], self._begun(index)
        while True:
            ask, carried = dialogue.ask()
            exchange, request = self._maker.request(carried, ask, left=left)
            left = None
            self.exchanges.append(exchange)
            await connection.send(
                request, exchange, timeout_seconds=self._timeout_seconds, on_first_output=begun
            )
            begun(exchange)
            if exchange.outcome != OK or dialogue.over:
                return exchange.outcome == OK
            await self._idle(dialogue.hear(connection.answer()))
