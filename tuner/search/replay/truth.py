"""What is really best on a surface, which no trial sees: the recorded figures without noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tuner.errors import UserError
from tuner.search.replay.surface import Row, Surface
from tuner.trial.objective import Goal, violation
from tuner.trial.ports import ParamValue
from tuner.verdict import Balance, Point, front_of

GOOD_SHARE = 0.03


class Truth:
    """The feasible optimum, and which configurations are as good but for a small share.

    Several objectives count by their balance, weighed along the front of all feasible rows: the optimum is
    the knee of the surface, as it is the knee of a run that `History.best` recommends.

    Raises:
        UserError: no row is feasible, so there is nothing to find.
    """

    def __init__(
        self,
        surface: Surface,
        goals: Sequence[Goal],
        slos: Mapping[str, float],
        *,
        share: float = GOOD_SHARE,
    ) -> None:
        self._goals = tuple(goals)
        self._slos = dict(slos)
        self._surface = surface
        self._balance = self._weighed()
        self._merits = {row.line: self._merit(row) for row in surface.rows}
        self.optimum = max(surface.rows, key=lambda row: self._merits[row.line])
        self._best = self._merits[self.optimum.line]
        if self._best == -math.inf:
            raise UserError(f"{surface.name}: no row of it is feasible; would be right: one that is, to find")
        each = [-math.log1p(-share) if g.maximize else math.log1p(share) for g in self._goals]
        slack = sum(weight * lost for weight, lost in zip(self._balance.weights, each, strict=True))
        self._good = {line for line, merit in self._merits.items() if merit >= self._best - slack - 1e-12}

    @property
    def good(self) -> list[Row]:
        """The rows that count as found."""
        return [row for row in self._surface.rows if row.line in self._good]

    def is_good(self, params: Mapping[str, ParamValue]) -> bool:
        """Whether a configuration is one of them."""
        return self._surface.row(params).line in self._good

    def ratio(self, params: Mapping[str, ParamValue]) -> float:
        """How near it comes to the optimum: 1 the same, 0.97 three per cent worse; 0 where infeasible."""
        merit = self._merits[self._surface.row(params).line]
        return math.exp(merit - self._best)

    def feasible(self, row: Row) -> bool:
        """Whether it serves and is within every SLO."""
        return row.failure is None and all(
            violation(m, row.truth[m], limit) <= 0 for m, limit in self._slos.items()
        )

    def _merit(self, row: Row) -> float:
        if not self.feasible(row):
            return -math.inf
        return self._balance.log(self._values(row))

    def _weighed(self) -> Balance:
        """One objective as it is, also where a row has no logarithm of it."""
        maximize = tuple(g.maximize for g in self._goals)
        if len(self._goals) == 1:
            return Balance(maximize, (1.0,))
        unknown = ((math.nan, math.nan),) * len(self._goals)
        points = [Point(r.line, self._values(r), unknown) for r in self._surface.rows if self.feasible(r)]
        return front_of(points, maximize=maximize).balance

    def _values(self, row: Row) -> tuple[float, ...]:
        return tuple(row.truth[g.metric] for g in self._goals)
