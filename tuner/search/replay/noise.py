"""What makes two measurements of one configuration differ: rounds, deployments, nodes and the time of day.

Each is a factor of every rate (a time is divided by it, a share is left alone), independent of the others:

- rounds: a first-order autoregressive process of each node, exp(x) with x stationary and normal, so that
  rounds that begin t apart correlate by `round_correlation` ** (t / the round's length); it goes on from one
  deployment to the next, as a neighbour or a hot machine does (G. E. Uhlenbeck and L. S. Ornstein, "On the
  theory of the Brownian motion", Physical Review 36, 1930, pages 823-841, sampled at unequal times);
- deployments: log-normal, drawn for each start of an engine and common to its rounds;
- nodes: log-normal, drawn for each node and common to a run;
- drift: exp(slope * hours + wave), common to all nodes: a slope drawn from a normal distribution, and a slow
  wave whose period (between `WAVE_HOURS`) and phase are drawn.

All of it is the run's: nothing depends on the configuration, so that the ratio of two true values stays.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from tuner.search.history import Key
from tuner.search.replay.measured import SHARES, RecordedRound
from tuner.spec.metrics import METRICS

WAVE_HOURS = (0.3, 3.0)


@dataclass(frozen=True, slots=True)
class NoiseLevels:
    """How much of each; relative standard deviations.

    Attributes:
        round_cv: of one round.
        round_correlation: of a round with the next one on its node; 0 is white noise.
        deployment_cv: of one start of an engine.
        node_cv: of one node.
        drift_cv_per_hour: of the slope, an hour.
        wave_cv: of the slow wave (its amplitude is this times the root of 2).
        nodes: that the places for trials lie on, in turn.
    """

    round_cv: float = 0.0
    round_correlation: float = 0.0
    deployment_cv: float = 0.0
    node_cv: float = 0.0
    drift_cv_per_hour: float = 0.0
    wave_cv: float = 0.0
    nodes: int = 1


class Noise:
    """The noise of one run; the same seed and the same times give the same factors."""

    def __init__(self, levels: NoiseLevels, seed: int) -> None:
        rng = random.Random(f"{seed}/drift")
        self._levels = levels
        self._seed = seed
        self._slope = rng.gauss(0.0, levels.drift_cv_per_hour)
        self._amplitude = math.sqrt(2) * levels.wave_cv
        self._period = rng.uniform(*WAVE_HOURS)
        self._phase = rng.uniform(0.0, 2 * math.pi)
        self._nodes: dict[int, _Node] = {}

    def applied(self, rounds: Iterable[RecordedRound], *, key: Key, place: int) -> Iterator[RecordedRound]:
        """The rounds of one deployment as they would have been measured, drawn as they are asked for.

        Args:
            place: of the deployment, from 0; it says the node.
        """
        trial, phase, attempt = key
        rng = random.Random(f"{self._seed}/{trial}/{phase}/{attempt}/deployment")
        start, node = rng.gauss(0.0, self._levels.deployment_cv), self._node(place % self._levels.nodes)
        for one in rounds:
            log = start + node.log + node.process.at(one.started, one.seconds) + self._drift(one.started)
            yield _scaled(one, math.exp(log), self._levels.round_cv)

    def node_of(self, place: int) -> str:
        """The name of the node that a place lies on."""
        return f"node-{place % self._levels.nodes}"

    def _node(self, number: int) -> _Node:
        if number not in self._nodes:
            rng = random.Random(f"{self._seed}/node/{number}")
            log = rng.gauss(0.0, self._levels.node_cv)
            process = _Process(self._levels.round_cv, self._levels.round_correlation, rng)
            self._nodes[number] = _Node(log, process)
        return self._nodes[number]

    def _drift(self, seconds: float) -> float:
        hours = seconds / 3600
        wave = self._amplitude * math.sin(2 * math.pi * hours / self._period + self._phase)
        return self._slope * hours + wave


class _Process:
    """The autoregressive process of one node, asked at rising times."""

    def __init__(self, deviation: float, correlation: float, rng: random.Random) -> None:
        self._deviation = deviation
        self._correlation = correlation
        self._rng = rng
        self._last: tuple[float, float] | None = None  # when, and what it was

    def at(self, seconds: float, step_seconds: float) -> float:
        """The value then, where `correlation` is that of values `step_seconds` apart."""
        if self._last is None:
            kept, before = 0.0, 0.0
        else:
            steps = max(0.0, seconds - self._last[0]) / step_seconds
            kept, before = self._correlation**steps, self._last[1]
        value = kept * before + self._rng.gauss(0.0, self._deviation * math.sqrt(1 - kept * kept))
        self._last = seconds, value
        return value


@dataclass(frozen=True, slots=True)
class _Node:
    log: float
    process: _Process


def _scaled(one: RecordedRound, factor: float, round_cv: float) -> RecordedRound:
    """The round, faster by `factor`; its parts differ by what a round does."""
    metrics = {name: _figure(name, value, factor) for name, value in one.metrics.items()}
    errors = {name: math.hypot(one.errors.get(name, 0.0), round_cv) * metrics[name] for name in metrics}
    return replace(one, metrics=metrics, errors=errors)


def _figure(name: str, value: float, factor: float) -> float:
    metric = name.rpartition(".")[2]
    if metric in SHARES:
        return value
    return value / factor if METRICS[metric].better == "lower" else value * factor
