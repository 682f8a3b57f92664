"""When requests are sent and how long they are: seeded, the same for every trial."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tuner.spec.scenario import Scenario
from tuner.spec.workload import LoadPoint


def gaps(point: LoadPoint, rng: random.Random) -> Iterator[float]:
    """Endless gaps between arrivals, mean 1.

    Their coefficient of variation is 0 (constant), 1 (poisson) or burstiness ** -0.5 (gamma, whose shape
    burstiness is: the convention of vLLM's benchmark_serving).
    """
    while True:
        if point.arrivals == "constant":
            yield 1.0
        elif point.arrivals == "poisson":
            yield rng.expovariate(1.0)
        else:
            yield rng.gammavariate(point.burstiness, 1.0 / point.burstiness)


def arrival_seconds(
    point: LoadPoint, rng: random.Random, *, window_seconds: float | None = None
) -> Iterator[float]:
    """Endless arrival times after 0, in seconds, rising.

    The first gap is a uniform share of itself where gaps are constant, so that a window's count does not
    hang on where the constant grid happens to start.

    A rate that ramps is made by rescaling time: the k-th arrival is when the integral of the rate reaches
    the k-th of the arrivals at rate 1. For exponential gaps that is the Poisson process of this rate
    (Cinlar, "Introduction to Stochastic Processes", 1975, section 4.7), for gamma gaps the inhomogeneous
    gamma process (Berman, Biometrika 68, 1981). Constant gaps give counts that differ from the integral by
    less than one, wherever they are counted from and to.

    Args:
        window_seconds: how long the rate takes from the ramp's start to its end, at which it stays; None for
            the start throughout.
    """
    level = point.level
    total = 0.0
    for number, gap in enumerate(gaps(point, rng)):
        total += gap * rng.random() if number == 0 and point.arrivals == "constant" else gap
        yield total / level.start if window_seconds is None else level.reached(total, window_seconds)


def stream_starts(point: LoadPoint, window_seconds: float) -> list[float | None]:
    """When each stream of a closed loop begins: None before the window, else seconds after its opening.

    On a ramp the streams in being are at any moment the level, rounded, and their mean over the window is
    its mean.
    """
    before, all_of_them = round(point.level.start), round(point.level.peak)
    rising = all_of_them - before
    return [None] * before + [window_seconds * (k + 0.5) / rising for k in range(rising)]


class Ask(NamedTuple):
    """What one request asks for.

    Attributes:
        input_tokens, output_tokens: of its prompt (all that it carries) and of its answer.
        part: which of the load point's kinds of requests it is of; 0 where there is one.
        row: its row in that part's file; -1 where there is none.
        turn: of its conversation, 0-based.
        new_tokens: of the input, what no earlier turn of its conversation had.
    """

    input_tokens: int
    output_tokens: int
    part: int = 0
    row: int = -1
    turn: int = 0
    new_tokens: int = 0


Draw = Callable[[random.Random], Ask]


class Lengths:
    """The asks of one stream of requests: the k-th is the same for every trial, whenever it is sent.

    Args:
        source: a scenario, or what draws the next ask.
    """

    def __init__(self, source: Scenario | Draw, *, seed: str) -> None:
        self._draw = scenario_draw(source) if isinstance(source, Scenario) else source
        self._rng = random.Random(seed)

    def next(self) -> Ask:
        """The next request."""
        return self._draw(self._rng)

    def remainder(self) -> tuple[Ask, int]:
        """The next request as if met somewhere on its way, and how much of its output is left.

        What is left is a uniform share, at least one token. A stream starts with one, or all streams
        would run in step.
        """
        ask = self.next()
        return ask, self._rng.randint(1, ask.output_tokens)


def scenario_draw(scenario: Scenario, part: int = 0) -> Draw:
    """Draws lengths alone."""
    return lambda rng: Ask(*scenario.sample(rng), part)
