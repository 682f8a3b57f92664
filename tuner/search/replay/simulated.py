"""The simulated clock: trials side by side by an event queue, accelerators shared, suggestions charged.

A deployment costs its `deploy_seconds`, the warm-up and the rounds that it ran; one that fails costs its
`deploy_seconds`. The strategy is asked once the narrowest fits, and knows what is free (spare.py); what it
chooses waits, and holds the others back, until the accelerators that it takes are free. A
suggestion (and what is learned of an ended trial) occupies the strategy for its own wall time: the trial
starts that much later, the next suggestion waits, and running trials go on.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tuner.errors import Failure
from tuner.search.desk import Desk
from tuner.search.history import Key
from tuner.search.replay.measured import Measurement
from tuner.search.replay.noise import Noise
from tuner.search.replay.outcome import Found, Tracker
from tuner.search.replay.surface import Row, Surface
from tuner.search.spare import Spare, narrowest
from tuner.search.strategy import Assignment
from tuner.spec.workload import Workload
from tuner.trial.ports import Phase, Slot, State, TrialConfig
from tuner.trial.step import Step

Timed = tuple[float, Step]  # seconds since the one before, and what happened then


class SimulatedClock:
    """Seconds since the run began."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.seconds


@dataclass(slots=True)
class _Trial:
    """A deployment that was handed out."""

    key: Key
    slot: int
    accelerators: int
    rounds: int
    row: Row
    steps: Iterator[Timed] | None = None
    following: Step | None = None  # what happens to it next; None: it starts


@dataclass(slots=True)
class Use:
    """What is in use now, and its sum over time."""

    now: int = 0
    total: float = 0.0
    alone: float = 0.0  # the sum when the second deployment began: until then the baseline runs alone
    handing_out: float = 0.0  # the sum when something was last handed out

    def advance(self, seconds: float) -> None:
        """So much time has passed."""
        self.total += self.now * seconds


class Simulation:
    """Runs a desk to its end.

    Args:
        accelerators: that trials share.
        timed: wall-clock seconds for the suggestions' cost.
        free_suggestions: leave that cost out of the simulated clock: the same seed gives the same run.
        noise: beside that of the surface's rows.
        spare: told what is free.
    """

    def __init__(
        self,
        desk: Desk,
        surface: Surface,
        workload: Workload,
        clock: SimulatedClock,
        *,
        seed: int,
        parallel: int,
        accelerators: int,
        timed: Callable[[], float],
        free_suggestions: bool,
        tracker: Tracker,
        noise: Noise | None = None,
        spare: Spare | None = None,
    ) -> None:
        self.suggesting: list[float] = []  # wall time of each suggestion, with what was learned before it
        self.second_begun = 0.0
        self.last_begun = 0.0
        self.places = Use()
        self.accelerators = Use()
        self._desk = desk
        self._surface = surface
        self._workload = workload
        self._clock = clock
        self._seed = seed
        self._total = accelerators
        self._timed = timed
        self._free = free_suggestions
        self._tracker = tracker
        self._noise = noise
        self._slots = list(range(parallel))
        self._parallel = parallel
        self._order = itertools.count()
        self._queue: list[tuple[float, int, _Trial | None]] = []
        self._held = 0  # accelerators that are given to trials
        self._waiting: _Trial | None = None
        self._learning = 0.0
        self._strategy_free = 0.0
        self._begun = 0
        self._started = 0
        self._narrowest = narrowest(surface.space) if accelerators else 0
        if spare is not None and accelerators:
            spare.free = lambda: self._total - self._held

    @property
    def spent(self) -> Found:
        """What has been spent by now."""
        return Found(self._clock.seconds, self._begun, self.accelerators.total)

    def run(self, *, until_found: bool = False, grace_trials: int | None = None) -> None:
        """To the end of the search, or as `replay` has it."""
        while True:
            self._hand_out()
            if not self._queue or (until_found and self._found(grace_trials)):
                return
            at, _, trial = heapq.heappop(self._queue)
            for use in (self.places, self.accelerators):
                use.advance(at - self._clock.seconds)
            self._clock.seconds = at
            if trial is not None:
                self._happened(trial)

    def _found(self, grace_trials: int | None) -> bool:
        measured = self._tracker.measured
        if measured is None or grace_trials is None:
            return self._tracker.found
        return self._tracker.found or self._begun >= measured.trials + grace_trials

    def _hand_out(self) -> None:
        """Begin trials while there are places, accelerators and a strategy that is not busy."""
        while self._slots and self._waiting is None and not self._desk.finished:
            if self._held and self._total - self._held < self._narrowest:
                return
            if self._strategy_free > self._clock.seconds:
                self._push(self._strategy_free, None)
                return
            began = self._timed()
            handed = self._handed()
            took = self._timed() - began
            if handed is None:
                self._learning += took
                return
            self.suggesting.append(took + self._learning)
            self._learning = 0.0
            if not self._free:
                self._strategy_free = self._clock.seconds + took
            self._take(*handed)

    def _handed(self) -> tuple[Assignment, TrialConfig] | None:
        """What the first free place with something to do is given; a refused one goes to the end."""
        for _ in range(len(self._slots)):
            handed = self._desk.begin(Slot(self._slots[0], self._parallel))
            if handed is not None:
                return handed
            self._slots.append(self._slots.pop(0))
        return None

    def _take(self, assignment: Assignment, config: TrialConfig) -> None:
        row = self._surface.row(config.params)
        trial = _Trial(assignment.key, self._slots.pop(0), config.accelerators, assignment.rounds, row)
        self._begun += assignment.phase is Phase.SEARCH
        self._waiting = trial
        self._place_waiting()

    def _place_waiting(self) -> None:
        """What waits gets its accelerators where they are free, and starts once its suggestion is made."""
        trial = self._waiting
        if trial is not None and self._total - self._held >= trial.accelerators:
            self._waiting = None
            self._held += trial.accelerators
            self._push(max(self._clock.seconds, self._strategy_free), trial)

    def _start(self, trial: _Trial) -> None:
        self.last_begun = self._clock.seconds
        self._started += 1
        if self._started == 2:
            self.second_begun = self._clock.seconds
        for use, taken in ((self.places, 1), (self.accelerators, trial.accelerators)):
            use.handing_out = use.total
            use.alone = use.total if self._started == 2 else use.alone
            use.now += taken
        trial.steps = self._steps(trial, self._clock.seconds)
        self._next(trial)

    def _next(self, trial: _Trial) -> None:
        assert trial.steps is not None
        seconds, trial.following = next(trial.steps)
        self._push(self._clock.seconds + seconds, trial)

    def _push(self, at: float, trial: _Trial | None) -> None:
        heapq.heappush(self._queue, (at, next(self._order), trial))

    def _happened(self, trial: _Trial) -> None:
        step = trial.following
        if step is None:
            self._start(trial)
            return
        if step.ended is None and not self._desk.step(trial.key, step):
            self._next(trial)
            return
        began = self._timed()
        self._desk.end(trial.key, step)
        took = self._timed() - began
        self._learning += took
        if not self._free:
            self._strategy_free = max(self._strategy_free, self._clock.seconds) + took
        self.places.now -= 1
        self.accelerators.now -= trial.accelerators
        self._held -= trial.accelerators
        self._slots.append(trial.slot)
        self._place_waiting()
        if trial.key[1] is Phase.SEARCH:
            self._tracker.ended(self._desk.strategy.deployment(trial.key), self.spent)

    def _steps(self, trial: _Trial, begun: float) -> Iterator[Timed]:
        row, load = trial.row, self._workload
        if row.failure is not None:
            failure = Failure(row.failure, "as it was recorded")
            times = {"deploying": row.deploy_seconds}
            yield row.deploy_seconds, Step(None, State.FAILED, failure, times=times, begun=begun)
            return
        each = load.round_seconds * len(load.points)
        serves = row.deploy_seconds + load.warmup_seconds
        measurement = Measurement(row, seed=self._seed, key=trial.key, rounds=load.rounds, round_seconds=each)
        measured, node = measurement.rounds(trial.rounds, begun + serves), ""
        if self._noise is not None:
            node = self._noise.node_of(trial.slot)
            measured = self._noise.applied(measured, key=trial.key, place=trial.slot)
        for one in measured:
            times = {
                "deploying": row.deploy_seconds,
                "warmup": load.warmup_seconds,
                "rounds": each * one.number,
            }
            ended = State.COMPLETE if one.number == trial.rounds else None
            step = Step(one, ended, times=times, node=node, begun=begun)
            yield each + (serves if one.number == 1 else 0.0), step
