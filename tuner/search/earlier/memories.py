"""All earlier runs that `search.warm_start` names, as the default sampler and the plan use them.

The earlier figures stand beside the roles of a configuration (tuner/search/auto/roles.py): each has a slope
whose mean says how far the run is believed, and whose deviation lets trials of this run overrule it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.errors import UserError
from tuner.search.auto.encoding import Rows
from tuner.search.auto.model import Trends
from tuner.search.auto.roles import Roles
from tuner.search.auto.trend import Trend
from tuner.search.earlier.lesson import Lesson
from tuner.search.earlier.notes import said_of
from tuner.search.earlier.reading import read_all
from tuner.search.earlier.setting import Likeness
from tuner.spec import Experiment
from tuner.spec.space import Params, Space
from tuner.trial.ports import ParamValue

# how far an earlier run is believed: mean and deviation of rho (see shape.py)
BELIEF = {Likeness.SAME: (0.9, 0.3), Likeness.ALIKE: (0.4, 0.4), Likeness.OTHER: (0.3, 0.4)}
_MOST_KNOWN = 50_000  # configurations whose figures are kept
_STAND_IN = 0.7  # of that, for a metric that another stands for
_EDGE, _EDGE_OF_ANOTHER_LOAD = 0.9, 0.5  # of where things deployed, on the same engine, model and accelerator


@dataclass(frozen=True, slots=True)
class _Column:
    """One figure of one lesson: of a goal, of an SLO, or neither: where configurations deployed."""

    lesson: int
    at: Callable[[Rows], Rows]
    mean: float
    deviation: float
    goal: str = ""
    slo: str = ""


class Memories:
    """What is taken from earlier runs.

    Attributes:
        first: configurations to try right after the baseline, each the best of a run.
        notes: a line for each run: what is taken, and what is not.
    """

    def __init__(self, lessons: Sequence[Lesson], space: Space) -> None:
        self._roles = Roles(space)
        self._lessons = [lesson for lesson in lessons if lesson.teaches]
        self._columns = [c for n, lesson in enumerate(self._lessons) for c in _columns(n, lesson)]
        self._known: dict[Hashable, list[float]] = {}
        self.first: list[Params] = []
        self.notes: list[str] = []
        taken = {space.key(space.baseline)}
        for lesson in lessons:
            best, why = lesson.best() if lesson.teaches else (None, "")
            if best is not None and space.key(best) in taken:
                best, why = None, "its best is tried already"
            if best is not None:
                taken.add(space.key(best))
                self.first.append(best)
            self.notes.append(said_of(lesson, best, why))

    @classmethod
    def of(cls, experiment: Experiment, space: Space) -> Memories | None:
        """Those of the experiment; None where it names none.

        Raises:
            UserError: one is no run, or none of them has anything to say.
        """
        runs = read_all(experiment)
        if not runs:
            return None
        made = cls([Lesson(run, experiment, space) for run in runs], space)
        if not made._lessons:
            raise UserError(
                f"search.warm_start: {'; '.join(made.notes)}; would be right: a run with measured trials of "
                "some of these parameters, or no warm_start"
            )
        return made

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns: the roles, then one a figure of an earlier run."""
        return (*self._roles.names, *(f"earlier {n}" for n in range(len(self._columns))))

    def rows(self, configurations: Sequence[Mapping[str, ParamValue]]) -> Rows:
        """(configurations, columns); what is not known of a role is NaN."""
        return np.hstack([self._roles.rows(configurations), self._earlier(configurations)])

    def _earlier(self, configurations: Sequence[Mapping[str, ParamValue]]) -> Rows:
        keys = [tuple(params.items()) for params in configurations]
        new = {key: p for key, p in zip(keys, configurations, strict=True) if key not in self._known}
        if new:
            if len(self._known) > _MOST_KNOWN:
                self._known.clear()
                new = dict(zip(keys, configurations, strict=True))
            for key, row in zip(new, self._computed(list(new.values())).tolist(), strict=True):
                self._known[key] = row
        found = [self._known[key] for key in keys]
        return np.array(found, dtype=float).reshape(len(found), len(self._columns))

    def joined(self, trends: Trends, goals: Sequence[str], slos: Sequence[str]) -> Trends:
        """The trends over `names`, with what the earlier runs tell.

        Several goals are weighed anew at each suggestion: a run's belief is shared out among them.
        """
        limits = [
            self._with(trend, [c.slo == metric for c in self._columns])
            for metric, trend in zip(slos, trends.slos, strict=True)
        ]
        objective = self._with(trends.objective, [c.goal in goals for c in self._columns], among=len(goals))
        return Trends(objective, limits, self._with(None, [not (c.goal or c.slo) for c in self._columns]))

    def _with(self, trend: Trend | None, mine: Sequence[bool], *, among: int = 1) -> Trend | None:
        """The slopes of the trend and of the columns that are `mine`.

        Where a run is believed by rho it stands in place of rho of what was expected of its parameters:
        expected + rho (earlier - expected), so that a run that is overruled leaves the expectation whole.
        """
        if not any(mine):
            return trend
        roles, own = len(self._roles.names), np.flatnonzero(mine)
        means, deviations = np.zeros((2, roles + len(mine)))
        if trend is not None:
            means[:roles], deviations[:roles] = trend.means[:roles], trend.deviations[:roles]
        beliefs = np.array([self._columns[n].mean for n in own]) / among
        beliefs /= max(1.0, beliefs.sum())
        apart = np.zeros((len(means), len(own)))  # the earlier figure, less what was expected
        for k, n in enumerate(own):
            there = self._lessons[self._columns[n].lesson].matching.pairs.values()
            known = np.array([p in there for p in self._roles.parameters], dtype=bool)
            apart[:roles, k] = -means[:roles] * known
            apart[roles + n, k] = 1.0
        together = apart * np.array([self._columns[n].deviation for n in own])
        return Trend(means + apart @ beliefs, deviations, together)

    def _computed(self, configurations: Sequence[Mapping[str, ParamValue]]) -> Rows:
        places = [lesson.at(configurations) for lesson in self._lessons]
        found = np.zeros((len(configurations), len(self._columns)))
        for number, column in enumerate(self._columns):
            found[:, number] = column.at(places[column.lesson])
        return found


def _columns(number: int, lesson: Lesson) -> Iterator[_Column]:
    mean, deviation = BELIEF[lesson.likeness]
    for metric, told in lesson.objectives.items():
        belief = mean if told.exact else _STAND_IN * mean
        yield _Column(number, told.shape.at, belief, deviation, goal=metric)
    for metric, told in lesson.slos.items():
        belief = mean if told.exact else _STAND_IN * mean
        yield _Column(number, told.shape.at, belief, deviation, slo=metric)
    if lesson.edge is not None:
        belief = _EDGE if lesson.likeness is Likeness.SAME else _EDGE_OF_ANOTHER_LOAD
        yield _Column(number, lesson.edge.at, belief, 0.0)
