"""Requests and conversations from the rows of a dataset."""

from __future__ import annotations

import hashlib
import random
from array import array
from collections.abc import Iterator

from tuner.load.payload import Prompt
from tuner.load.schedule import Ask, Draw
from tuner.load.writers import Talk
from tuner.spec.content import Content
from tuner.spec.dataset_rows import CHARACTERS_PER_TOKEN, DatasetRow, Message


class DatasetWriter:
    """Rows as the file has them, but for a lead-in where the dataset asks for one.

    All streams of a round together go through the rows in one order, each row once before any comes again.

    Args:
        salt: of this deployment and round; the lead-in is made of it.
    """

    def __init__(self, content: Content, part: int, *, salt: str, chat: bool) -> None:
        assert content.dataset is not None
        self._dataset = content.dataset
        self._talked = content.conversations
        self._part = part
        self._salt = salt
        self._chat = chat
        self._orders: dict[tuple[str, bool], array[int]] = {}

    def draws(self, seed: str, *, stream: int, streams: int, backwards: bool = False) -> Draw:
        """See Writer."""
        order = self._order(seed, stream=stream, streams=streams, backwards=backwards)
        return lambda rng: self._alone(next(order))

    def talks(self, seed: str, *, stream: int, streams: int, backwards: bool = False) -> Talk:
        """See Writer."""
        order = self._order(seed, stream=stream, streams=streams, backwards=backwards)
        if self._talked is None:
            return lambda rng: [self._alone(next(order))]
        span = self._talked.span
        return lambda rng: self._turns(next(order), rng.randint(*span) if span else None)

    def prompt(self, ask: Ask, *, seed: str) -> Prompt:
        """See Writer."""
        row = self._dataset.rows[ask.row]
        messages = self._led(row.messages(row.alone), seed)
        return messages if self._chat else "\n\n".join(text for _, text in messages)

    def turn(self, ask: Ask, *, seed: str) -> tuple[Message, ...]:
        """See Writer."""
        row = self._dataset.rows[ask.row]
        if self._talked is None:
            return self._led(row.messages(row.alone), seed)
        asked = row.turns[ask.turn].asked
        return self._led(asked, seed) if ask.turn == 0 else asked

    def answer(self, ask: Ask, *, seed: str) -> str:
        """See Writer: the file's own."""
        return self._dataset.rows[ask.row].turns[ask.turn].answer or ""

    def _led(self, messages: tuple[Message, ...], seed: str) -> tuple[Message, ...]:
        if self._dataset.lead_in == "none":
            return messages
        scope = self._salt if self._dataset.lead_in == "round" else seed
        word = hashlib.sha256(scope.encode()).hexdigest()[:6]
        (role, text), *rest = messages
        return ((role, f"[{word}] {text}"), *rest)

    def _order(self, seed: str, *, stream: int, streams: int, backwards: bool = False) -> Iterator[int]:
        key = seed, backwards
        if key not in self._orders:  # one for all streams: a large file takes its time to shuffle
            rows = array("L", range(len(self._dataset.rows)))
            random.Random(f"{seed} rows {self._part}").shuffle(rows)
            if backwards:
                rows.reverse()
            self._orders[key] = rows
        rows, at = self._orders[key], stream
        while True:
            yield rows[at % len(rows)]
            at += streams

    def _alone(self, index: int) -> Ask:
        row = self._dataset.rows[index]
        tokens = _tokens(row.messages(row.alone))
        return Ask(tokens, self._dataset.answer_tokens(row.turns[row.alone]), self._part, index, 0, tokens)

    def _turns(self, index: int, most: int | None) -> list[Ask]:
        row: DatasetRow = self._dataset.rows[index]
        asks: list[Ask] = []
        carried = 0
        for number, turn in enumerate(row.turns[:most]):
            new, output = _tokens(turn.asked), self._dataset.answer_tokens(turn)
            asks.append(Ask(carried + new, output, self._part, index, number, new))
            carried += new + output
        return asks


def _tokens(messages: tuple[Message, ...]) -> int:
    """An estimate, until the server counts."""
    return max(1, sum(len(text) for _, text in messages) // CHARACTERS_PER_TOKEN)
