"""When requests are sent and how long they are: seeded, the same for every trial."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tuner.spec.scenario import Scenario
from tuner.spec.workload import LoadPoint


def interarrival_seconds(point: LoadPoint, rng: random.Random) -> Iterator[float]:
    """Endless gaps between arrivals, in seconds, mean 1 / request_rate.

    Their coefficient of variation is 0 (constant), 1 (poisson) or burstiness ** -0.5 (gamma, whose shape
    burstiness is: the convention of vLLM's benchmark_serving).
    """
    assert point.request_rate is not None
    mean = 1.0 / point.request_rate
    while True:
        if point.arrivals == "constant":
            yield mean
        elif point.arrivals == "poisson":
            yield rng.expovariate(point.request_rate)
        else:
            yield rng.gammavariate(point.burstiness, mean / point.burstiness)


def arrival_seconds(point: LoadPoint, rng: random.Random) -> Iterator[float]:
    """Endless arrival times after 0, in seconds, rising.

    The first gap is a uniform share of itself where gaps are constant, so that a window's count does not
    hang on where the constant grid happens to start.
    """
    at = 0.0
    for number, gap in enumerate(interarrival_seconds(point, rng)):
        at += gap * rng.random() if number == 0 and point.arrivals == "constant" else gap
        yield at


class Lengths:
    """Lengths of one stream of requests: the k-th is the same for every trial, whenever it is sent."""

    def __init__(self, scenario: Scenario, *, seed: str) -> None:
        self._scenario = scenario
        self._rng = random.Random(seed)

    def next(self) -> tuple[int, int]:
        """(input, output) tokens of the next request."""
        return self._scenario.sample(self._rng)

    def remainder(self) -> tuple[tuple[int, int], int]:
        """The next request as if met somewhere on its way: its lengths, and how much of its output is left.

        What is left is a uniform share, at least one token. A stream starts with one, or all streams
        would run in step.
        """
        tokens = self.next()
        return tokens, self._rng.randint(1, tokens[1])
