"""The clock of one search that asks and is told: what was spent until a good configuration was found.

Measures as a replay does, with the same noise for the same seed and trial, one trial at a time and none
stopped early.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from searches.surfaces import Recorded

from tuner.search.assembly import Assembly
from tuner.search.history import History
from tuner.search.replay.measured import Measurement, RecordedObjective
from tuner.search.replay.surface import Row
from tuner.trial.ports import Phase, Score

GRACE = 15  # trials after a good one was measured in which it may come to be recommended


@dataclass
class Spending:
    """One search of one seed.

    Attributes:
        seconds, trials: spent so far.
        measured, recommended: (seconds, trials) when a good one was; None before.
    """

    recorded: Recorded
    seed: int
    seconds: float = 0.0
    trials: int = 0
    measured: tuple[float, int] | None = None
    recommended: tuple[float, int] | None = None

    def __post_init__(self) -> None:
        experiment = self.recorded.experiment
        goals = Assembly.goals_of(experiment)
        self._objective = RecordedObjective(goals, dict(experiment.slo))
        self._history = History(goals)
        self._best: tuple[tuple[int, float], Row] | None = None

    @property
    def done(self) -> bool:
        """Whether nothing is left to be seen."""
        if self.measured is None:
            return False
        return self.recommended is not None or self.trials >= self.measured[1] + GRACE

    def think(self, seconds: float) -> None:
        """A suggestion took so long."""
        self.seconds += seconds

    def measure(self, row: Row) -> Score | None:
        """Deploy and measure it to its last round; None where it fails."""
        load, key = self.recorded.experiment.workload, (self.trials, Phase.SEARCH, 1)
        each = load.round_seconds * len(load.points)
        self.trials += 1
        self.seconds += row.deploy_seconds
        if row.failure is not None:
            return None
        self.seconds += load.warmup_seconds + load.rounds * each
        measured = Measurement(row, seed=self.seed, key=key, rounds=load.rounds, round_seconds=each)
        score = self._objective.score(list(measured.rounds(load.rounds, 0.0)))
        self._judge(row, score)
        return score

    def _judge(self, row: Row, score: Score) -> None:
        good, spent = self.recorded.truth.is_good, (self.seconds, self.trials)
        if self.measured is None and good(row.params):
            self.measured = spent
        rank = self._history.rank(score)
        if score.feasible and (self._best is None or rank < self._best[0]):
            self._best = rank, row
        if self.recommended is None and self._best is not None and good(self._best[1].params):
            self.recommended = spent

    def to_json(self) -> Mapping[str, object]:
        """What is recorded of it."""
        return {
            "seed": self.seed,
            "trials": self.trials,
            "seconds": round(self.seconds, 3),
            "measured": self.measured,
            "recommended": self.recommended,
        }
