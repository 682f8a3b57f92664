"""One conversation as its user has it: what was said, what is asked next, how long they think first."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tuner.load.schedule import Ask
from tuner.load.writers import Writer
from tuner.spec.content import Conversations
from tuner.spec.dataset_rows import Message


class Dialogue:
    """A conversation, turn by turn: `ask`, then `hear`, until it is over.

    Args:
        asks: its turns, at least one.
        thinks: after how many seconds the user asks each further turn; one fewer than asks.
        writers: of each kind of request.
        name: seeds what is said.
    """

    def __init__(
        self, asks: Sequence[Ask], thinks: Sequence[float], *, writers: Sequence[Writer], name: str
    ) -> None:
        self._asks = asks
        self._thinks = thinks
        self._writers = writers
        self._name = name
        self._turn = 0
        self._said: list[Message] = []

    @property
    def over(self) -> bool:
        """Whether the last turn has been asked."""
        return self._turn == len(self._asks)

    def meet(self, turn: int) -> None:
        """Be on the way: the turns before `turn` have passed, with what stands in for their answers."""
        while self._turn < turn:
            ask, _ = self.ask()
            answer = self._writers[ask.part].answer(ask, seed=f"{self._name}.{ask.turn}")
            self._said.append(("assistant", answer))

    def ask(self) -> tuple[Ask, tuple[Message, ...]]:
        """The next turn, and all that it carries."""
        ask = self._asks[self._turn]
        self._said += self._writers[ask.part].turn(ask, seed=f"{self._name}.{ask.turn}")
        self._turn += 1
        return ask, tuple(self._said)

    def hear(self, answer: str) -> float:
        """The answer to the turn that was asked last, not the conversation's; seconds until the next turn."""
        self._said.append(("assistant", answer))
        return self._thinks[self._turn - 1]


def thinks(asks: Sequence[Ask], thinking: Sequence[Conversations | None], rng: random.Random) -> list[float]:
    """How long the user thinks before each turn after the first, in seconds; one draw a turn.

    Args:
        thinking: of each kind of request.
    """
    return [_think_seconds(thinking[ask.part], rng) for ask in asks][: len(asks) - 1]


def _think_seconds(thinking: Conversations | None, rng: random.Random) -> float:
    if thinking is None or not thinking.think_seconds:
        return 0.0
    if thinking.think == "constant":
        return thinking.think_seconds
    return rng.expovariate(1 / thinking.think_seconds)


def under_way(thinks: Sequence[float], since: float) -> tuple[int, float] | None:
    """Where a conversation is that began `since` seconds ago with an engine that answers at once.

    Returns:
        The turn that its user is about to ask, and in how many seconds; None where all have been asked.
    """
    asked_in = -since
    for turn, seconds in enumerate(thinks, start=1):
        asked_in += seconds
        if asked_in >= 0:
            return turn, asked_in
    return None
