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
from tuner.search.auto.model import Model, Points, Trends, scalar
from tuner.search.auto.options import AutoOptions
from tuner.search.auto.outcomes import Outcomes, missed_sign, outcomes_of
from tuner.search.auto.roles import Meanings, Roles
from tuner.search.auto.room import rooms
from tuner.search.auto.trend import Slopes, learned, trend_of
from tuner.search.earlier.memories import Memories
from tuner.search.history import History
from tuner.search.outlook import Outlook
from tuner.search.refusal import Refused, nothing_refused
from tuner.search.spare import Spare
from tuner.spec.space import Params, Space
from tuner.trial.objective import Goal


class Chooser:
    """Reads the history, changes nothing but its own list of what it chose before.

    Attributes:
        outlook: what the model expects of the last choice; None where it did not speak.
    """

    def __init__(
        self,
        space: Space,
        history: History,
        *,
        goals: Sequence[Goal],
        slos: Sequence[str],
        seed: int,
        options: AutoOptions | None = None,
        slopes: Slopes | None = None,
        memories: Memories | None = None,
        refused: Refused = nothing_refused,
        spare: Spare | None = None,
    ) -> None:
        self.outlook: Outlook | None = None
        self._space = space
        self._spare = spare or Spare(space)
        self._history = history
        self._refused = refused
        self._goals = tuple(goals)
        self._slos = tuple(slos)
        self._seed = seed
        self._options = options or AutoOptions()
        self._encoding = Encoding(space)
        self._candidates = Candidates(space, self._encoding)
        self._points: dict[int, tuple[list[float], list[float]]] = {}  # of every trial: columns, roles
        self._roles: Meanings = memories or Roles(space)
        self._trends = self._known_beforehand(learned() if slopes is None else slopes)
        self._alone = [Trends.nothing(len(slos))]  # what counts at every so-manieth suggestion, in turn
        if memories is not None:
            self._alone.append(self._trends)
            self._trends = memories.joined(self._trends, [g.metric for g in goals], slos)
        self._design = self._options.design if self._trends.objective is None else self._options.design_known

    def choose(self) -> Params | None:
        """A configuration that was not tried; None where there is none left."""
        self.outlook = None
        seen = outcomes_of(self._history, self._goals, self._slos, stopped=self._options.stopped_trials)
        for number in self._history.records.keys() - self._points.keys():
            params = self._history.records[number].params
            self._points[number] = self._encoding.row(params), self._roles.rows([params])[0].tolist()
            self._candidates.take(params)
        rng = random.Random(f"{self._seed}:{len(self._history.records)}")
        places = self._candidates.judged(rng, self._leaders(seen))
        places = places[[not self._refused(self._candidates.params[i]) for i in places]]
        if not len(places):
            return None
        chosen = self._place(seen, places, rng)
        params = self._candidates.params[chosen]
        self._candidates.take(params)
        return dict(params)

    def _place(self, seen: Outcomes, places: Places, rng: random.Random) -> int:
        every, begun = self._options.alternate, len(self._history.records)
        alone = every and begun % every == 0
        trend = self._alone[begun // every % len(self._alone)] if alone else self._trends
        if begun >= (self._design if trend.objective else self._options.design):
            known, ahead = self._encoded(seen.numbers), self._ahead(places)
            middle = np.nan_to_num(np.nanmean(np.vstack([known.roles, ahead.roles]), axis=0))
            model = Model(
                seen,
                scalar(seen.objectives, rng),
                _centred(known, middle),
                trends=trend,
                encoding=self._encoding,
                options=self._options,
                rng=rng,
            )
            if model.knows:
                gains = model.gains(_centred(ahead, middle))
                best = self._best(gains.rate, places)
                self.outlook = Outlook(
                    known=int((~seen.running).sum()),
                    deploys=float(np.exp(gains.deploys[best])),
                    gain_left=gains.left if model.feasible else None,
                )
                return int(places[best])
        for fewer in (self._roomy(places), self._fitting(places)):
            kept = np.intersect1d(places, fewer)
            places = kept if len(kept) else places
        return self._farthest(self._encoded(sorted(self._points)).rows, places, rng)

    def _best(self, rate: Rows, places: Places) -> int:
        """The largest rate; where that does not fit what is free, mostly the largest of what does."""
        best, free = int(np.argmax(rate)), self._spare.free()
        if free is None or self._taken(places[[best]])[0] <= free:
            return best
        fits = self._taken(places) <= free
        fitting = int(np.argmax(np.where(fits, rate, -np.inf)))
        if not fits.any() or not self._spare.passes_over(float(rate[best] - rate[fitting])):
            return best
        return fitting

    def _taken(self, places: Places) -> Places:
        """How many accelerators each takes."""
        return self._spare.takes([self._candidates.params[i] for i in places])

    def _known_beforehand(self, slopes: Slopes) -> Trends:
        names = self._roles.names
        if not self._options.beforehand or not names:
            return Trends.nothing(len(self._slos))
        objective = None
        if len(self._goals) == 1:
            goal = self._goals[0]
            objective = trend_of(goal.metric, names, slopes, sign=1.0 if goal.maximize else -1.0)
        return Trends(objective, [trend_of(m, names, slopes, sign=missed_sign(m)) for m in self._slos])

    def _encoded(self, numbers: Sequence[int]) -> Points:
        rows = [self._points[number][0] for number in numbers]
        roles = [self._points[number][1] for number in numbers]
        return Points(
            np.array(rows, dtype=float).reshape(len(rows), len(self._encoding.owner)),
            np.array(roles, dtype=float).reshape(len(rows), len(self._roles.names)),
            rooms(self._space.memory, [self._history.records[number].params for number in numbers]),
        )

    def _ahead(self, places: Places) -> Points:
        params = [self._candidates.params[i] for i in places]
        return Points(
            self._candidates.rows[places], self._roles.rows(params), rooms(self._space.memory, params)
        )

    def _roomy(self, places: Places) -> Places:
        """Those that are not expected to run out of memory."""
        room = rooms(self._space.memory, [self._candidates.params[i] for i in places])
        return places if room is None else places[room == 0]

    def _fitting(self, places: Places) -> Places:
        """Those that do not take more accelerators than are free."""
        free = self._spare.free()
        return places if free is None else places[self._taken(places) <= free]

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


def _centred(points: Points, middle: Rows) -> Points:
    """Roles around `middle`; what is not known of one stands there."""
    return Points(points.rows, np.nan_to_num(points.roles - middle), points.room)
