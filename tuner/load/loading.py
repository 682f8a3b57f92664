"""What one round of one load point is made of: the writers of its requests, their streams, their times."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from tuner.load.datasets import DatasetWriter
from tuner.load.preparation import Prepared
from tuner.load.prompts import PromptText
from tuner.load.schedule import Ask, Draw, Lengths, arrival_seconds, stream_starts
from tuner.load.traces import TracePieces, TraceWriter
from tuner.load.writers import GeneratedWriter, Talk, Writer
from tuner.spec.content import Content, Conversations
from tuner.spec.workload import LoadPoint, Workload

Plan = tuple[Lengths, Iterator[float]]  # what arrives, and when
_PAST_THINKS = 4.0  # of users whose thinking varies: the past that is looked back on, in mean thinking times


@dataclass(frozen=True, slots=True)
class Beginnings:
    """What conversations an open loop begins, and when.

    Attributes:
        talk: draws the next one.
        seconds: when each begins, endless, after a moment that lies `past_seconds` before the start.
        past_seconds: as long as its users may go on thinking in all.
        seed: of what is drawn.
    """

    talk: Talk
    seconds: Iterator[float]
    past_seconds: float
    seed: str


class Loading:
    """One round of one load point, seeded: lengths, order and times are the same for every salt.

    Args:
        found: has how the point's kinds of requests were calibrated.
        number: of the round; a word where the load is no round, which is then a session of its own.
        window_seconds: over which its level ramps; None for the workload's round_seconds.
    """

    def __init__(
        self,
        point: LoadPoint,
        number: int | str,
        *,
        workload: Workload,
        found: Prepared,
        text: PromptText,
        salt: str,
        window_seconds: float | None = None,
    ) -> None:
        self._point = point
        self._window_seconds = workload.round_seconds if window_seconds is None else window_seconds
        self._round = number if isinstance(number, int) else 1
        self._seed = f"{workload.seed} {point.name} {number}"
        fits, prefixes = found.fits_of(point), found.prefixes_of(point)
        self._pieces: TracePieces | None = None
        self.name = f"{point.name} {number}"
        self.writers: list[Writer] = []
        if point.trace is not None:
            self._pieces = TracePieces(
                point.trace, window_seconds=workload.round_seconds, request_rate=point.request_rate
            )
            session = f"{salt} {point.name if isinstance(number, int) else self.name}"
            self.writers.append(TraceWriter(point.trace, self._pieces, text=text, fit=fits[0], salt=session))
            return
        for index, part in enumerate(point.parts):
            if part.dataset is not None:
                of_round = f"{salt} {self.name}"
                self.writers.append(DatasetWriter(part, index, salt=of_round, chat=workload.chat))
            else:
                self.writers.append(
                    GeneratedWriter(part, index, text=text, fit=fits[index], prefix=prefixes[index])
                )

    @property
    def seed(self) -> str:
        """Of everything that is drawn in the round."""
        return self._seed

    @property
    def thinking(self) -> list[Conversations | None]:
        """How the users of each kind of request think; None where it has no conversations."""
        return [part.conversations for part in self._point.parts]

    @property
    def converses(self) -> bool:
        """Whether its requests follow from answers."""
        return self._point.converses

    def starts(self) -> list[float | None]:
        """When each of a closed loop's streams begins; see `stream_starts`."""
        return stream_starts(self._point, self._window_seconds)

    def stream(self, number: int) -> Lengths:
        """The requests of one of a closed loop's streams, by its number in the whole."""
        draw = self._mixed([w.draws(self._seed, stream=number, streams=self._streams) for w in self.writers])
        return Lengths(draw, seed=f"{self._seed} {number}")

    def talk(self, number: int) -> Talk:
        """The conversations of one of a closed loop's streams."""
        talks = [w.talks(self._seed, stream=number, streams=self._streams) for w in self.writers]
        return lambda rng: talks[self._pick(rng)](rng)

    @property
    def mean_turns(self) -> float:
        """Of its conversations; 1 for lone requests."""
        return self._point.mean_turns

    def beginnings(self, name: str) -> Beginnings:
        """The conversations that an open loop begins in its "ramp", or from its "window" on."""
        seed, ramp = f"{self._seed} {name}", name == "ramp"
        talks = [w.talks(self._seed, stream=0, streams=1, backwards=ramp) for w in self.writers]
        times = arrival_seconds(
            self._point, random.Random(seed), window_seconds=None if ramp else self._window_seconds
        )
        past = max(map(_longest_thinking, self._point.parts)) if ramp else 0.0
        return Beginnings(lambda rng: talks[self._pick(rng)](rng), times, past, f"{seed} talks")

    def ramp(self) -> Plan:
        """What arrives in an open loop's ramp: lone requests."""
        return self._plan("ramp")

    def window(self) -> Plan:
        """What arrives from the opening of its window on."""
        return self._plan("window")

    def _plan(self, name: str) -> Plan:
        seed = f"{self._seed} {name}"
        if self._pieces is not None:
            writer, pieces = self.writers[0], self._pieces
            assert isinstance(writer, TraceWriter)
            at = pieces.ramp_start(self._round) if name == "ramp" else pieces.window_start(self._round)
            return Lengths(writer.from_start(at), seed=seed), pieces.arrival_seconds(at)
        draws = [w.draws(self._seed, stream=0, streams=1, backwards=name == "ramp") for w in self.writers]
        ramps_over = self._window_seconds if name == "window" else None
        times = arrival_seconds(self._point, random.Random(seed), window_seconds=ramps_over)
        return Lengths(self._mixed(draws), seed=seed), times

    @property
    def _streams(self) -> int:
        """Of a closed loop, all that there ever are."""
        assert self._point.concurrency is not None
        return round(self._point.level.peak)

    def _mixed(self, draws: list[Draw]) -> Draw:
        if len(draws) == 1:
            return draws[0]

        def draw(rng: random.Random) -> Ask:
            return draws[self._pick(rng)](rng)

        return draw

    def _pick(self, rng: random.Random) -> int:
        if len(self.writers) == 1:
            return 0
        at = rng.random()
        edges = list(accumulate(self._point.weights))
        return next((index for index, edge in enumerate(edges) if at < edge), len(edges) - 1)


def _longest_thinking(part: Content) -> float:
    """How many seconds the user of a conversation may think in all; a few times the mean where it varies."""
    if part.conversations is None:
        return 0.0
    times = 1.0 if part.conversations.think == "constant" else _PAST_THINKS
    return (part.mean_and_most_turns[1] - 1) * part.conversations.think_seconds * times
