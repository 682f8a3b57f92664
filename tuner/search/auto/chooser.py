"""Chooses the next configuration from what a run has seen: the same for the same history.

After the baseline a few configurations far from each other, then those of the highest expected gain per
expected second. While nothing is feasible the gain is the probability of being so.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from tuner.search.auto.candidates import Candidates
from tuner.search.auto.encoding import Encoding, Places, Rows
from tuner.search.auto.model import Model, scalar
from tuner.search.auto.options import AutoOptions
from tuner.search.auto.outcomes import Outcomes, outcomes_of
from tuner.search.history import History
from tuner.spec.space import Params, Space
from tuner.trial.objective import Goal


class Chooser:
    """Reads the history, changes nothing but its own list of what it chose before."""

    def __init__(
        self,
        space: Space,
        history: History,
        *,
        goals: Sequence[Goal],
        slos: Sequence[str],
        seed: int,
        options: AutoOptions | None = None,
    ) -> None:
        self._space = space
        self._history = history
        self._goals = tuple(goals)
        self._slos = tuple(slos)
        self._seed = seed
        self._options = options or AutoOptions()
        self._encoding = Encoding(space)
        self._candidates = Candidates(space, self._encoding)
        self._rows: dict[int, list[float]] = {}  # of every trial

    def choose(self) -> Params | None:
        """A configuration that was not tried; None where there is none left."""
        seen = outcomes_of(self._history, self._goals, self._slos, stopped=self._options.stopped_trials)
        for number in self._history.records.keys() - self._rows.keys():
            params = self._history.records[number].params
            self._rows[number] = self._encoding.row(params)
            self._candidates.take(params)
        rng = random.Random(f"{self._seed}:{len(self._history.records)}")
        places = self._candidates.judged(rng, self._leaders(seen))
        if not len(places):
            return None
        chosen = self._place(seen, places, rng)
        params = self._candidates.params[chosen]
        self._candidates.take(params)
        return dict(params)

    def _place(self, seen: Outcomes, places: Places, rng: random.Random) -> int:
        if len(self._history.records) > self._options.design:
            rows = self._encoded(seen.numbers)
            values = scalar(seen.objectives, rng)
            model = Model(seen, rows, values, encoding=self._encoding, options=self._options, rng=rng)
            if model.knows:
                rate = model.gains(self._candidates.rows[places]).rate
                return int(places[int(np.argmax(rate))])
        return self._farthest(self._encoded(sorted(self._rows)), places, rng)

    def _encoded(self, numbers: Sequence[int]) -> Rows:
        found = [self._rows[number] for number in numbers]
        return np.array(found, dtype=float).reshape(len(found), len(self._encoding.owner))

    def _farthest(self, tried: Rows, places: Places, rng: random.Random) -> int:
        """The candidate whose nearest tried neighbour is farthest away; ties are drawn."""
        if not len(tried):
            return int(rng.choice(places.tolist()))
        apart = self._encoding.apart(self._candidates.rows[places], tried).sum(axis=0).min(axis=1)
        ties = np.flatnonzero(apart >= apart.max() - 1e-9)
        return int(places[rng.choice(ties.tolist())])

    def _leaders(self, seen: Outcomes) -> list[Params]:
        """The tried configurations, the most promising first."""
        ranked = []
        for number, params in zip(seen.numbers, seen.params, strict=True):
            last = self._history.records[number].search
            if last is not None and last.score is not None and last.score.measured:
                ranked.append((self._history.rank(last.score), number, params))
        return [params for *_, params in sorted(ranked, key=lambda entry: entry[:2])]
