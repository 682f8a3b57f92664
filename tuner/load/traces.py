"""Replay of a trace: its times, its lengths, and prompts that begin alike where their hash ids do."""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Iterator

from tuner.load.calibration import PromptLengths
from tuner.load.payload import Prompt
from tuner.load.prompts import PromptText
from tuner.load.round import DRAIN_LIMIT_IN_WINDOWS, RAMP_LIMIT_IN_WINDOWS, limit_seconds
from tuner.load.schedule import Ask, Draw
from tuner.load.writers import Talk
from tuner.spec.content import Trace
from tuner.spec.dataset_rows import Message
from tuner.spec.trace_rows import TraceRow


class TracePieces:
    """Which requests each round replays.

    A round has a piece of the trace for itself, long enough for the longest ramp, window and drain, so that
    no request is sent in two rounds. Behind the trace's end it begins again, as another lap: a request's
    number counts on, number modulo the trace's requests being its row.

    Args:
        request_rate: per second; another than the trace's own replays it faster or slower.
    """

    def __init__(self, trace: Trace, *, window_seconds: float, request_rate: float | None = None) -> None:
        self.rows = trace.rows
        self.speed = trace.speed * ((request_rate or trace.request_rate) / trace.request_rate)
        self._period = trace.period_seconds
        self._times = [row.seconds for row in trace.rows]
        self._ramp = limit_seconds(window_seconds, RAMP_LIMIT_IN_WINDOWS)
        self._window = window_seconds
        self._whole = self._ramp + window_seconds + limit_seconds(window_seconds, DRAIN_LIMIT_IN_WINDOWS)

    def row(self, number: int) -> TraceRow:
        """The row that the request of that number replays."""
        return self.rows[number % len(self.rows)]

    def lap(self, number: int) -> int:
        """How often the trace has been through before it; negative before round 1."""
        return number // len(self.rows)

    def ramp_start(self, round_number: int) -> float:
        """When the ramp of a round starts, in the trace's own seconds."""
        return (round_number - 1) * self._whole * self.speed

    def window_start(self, round_number: int) -> float:
        """When its window opens."""
        return self.ramp_start(round_number) + self._ramp * self.speed

    def first(self, start: float) -> int:
        """The number of the first request from `start` on."""
        lap = math.floor(start / self._period)
        return lap * len(self.rows) + bisect_left(self._times, start - lap * self._period)

    def arrival_seconds(self, start: float) -> Iterator[float]:
        """Endless seconds after `start`, as it is replayed, one for each request from there on."""
        number = self.first(start)
        while True:
            at = self.lap(number) * self._period + self.row(number).seconds
            yield (at - start) / self.speed
            number += 1

    def window_numbers(self, round_number: int) -> tuple[range, range]:
        """(what may be sent before the window opens, what is sent in it), as numbers of requests."""
        start = self.window_start(round_number)
        opens, closes = self.first(start), self.first(start + self._window * self.speed)
        return range(self.first(self.ramp_start(round_number)), opens), range(opens, closes)


class TraceWriter:
    """Prompts of a trace's lengths. Blocks with one hash id are the same text within a session and lap.

    Args:
        salt: of this deployment and point; where rounds have no number, of the round too.
        start: in the trace's seconds; the first draw is the first request from there on.
    """

    def __init__(
        self,
        trace: Trace,
        pieces: TracePieces,
        *,
        text: PromptText,
        fit: PromptLengths,
        salt: str,
        start: float = 0.0,
    ) -> None:
        self._trace = trace
        self._pieces = pieces
        self._text = text
        self._fit = fit
        self._salt = salt
        self._start = start

    def from_start(self, start: float) -> Draw:
        """Draws the requests from `start` on, one after the other."""
        number = self._pieces.first(start) - 1

        def draw(rng: random.Random) -> Ask:
            nonlocal number
            number += 1
            row = self._pieces.row(number)
            return Ask(row.input_tokens, row.output_tokens, 0, number)

        return draw

    def draws(self, seed: str, *, stream: int, streams: int, backwards: bool = False) -> Draw:
        """See Writer."""
        return self.from_start(self._start)

    def talks(self, seed: str, *, stream: int, streams: int, backwards: bool = False) -> Talk:
        """See Writer."""
        draw = self.from_start(self._start)
        return lambda rng: [draw(rng)]

    def prompt(self, ask: Ask, *, seed: str) -> Prompt:
        """See Writer."""
        row = self._pieces.row(ask.row)
        words, trims = self._fit.words(row.input_tokens)
        if not row.hash_ids:
            return self._text.prompt(words, seed=seed, trims=trims)
        each = max(1, round(self._trace.block_tokens / self._fit.per_word))
        lap, left, blocks = self._pieces.lap(ask.row), words, []
        for place, block in enumerate(row.hash_ids):
            size = left if place == len(row.hash_ids) - 1 else min(each, left)
            if size < 1:
                break
            blocks.append(self._text.prompt(size, seed=f"{self._salt} {lap} block {block}"))
            left -= size
        return " ".join(blocks) + self._text.trims(trims)

    def turn(self, ask: Ask, *, seed: str) -> tuple[Message, ...]:
        """See Writer."""
        return (("user", str(self.prompt(ask, seed=seed))),)

    def answer(self, ask: Ask, *, seed: str) -> str:
        """See Writer: a trace has none."""
        return ""
