"""What is really best on a surface, which no trial sees: the recorded figures without noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tuner.errors import UserError
from tuner.search.replay.surface import Row, Surface
from tuner.trial.objective import Goal, violation
from tuner.trial.ports import ParamValue

GOOD_SHARE = 0.03


class Truth:
    """The feasible optimum, and which configurations are as good but for a small share.

    Several objectives count by the geometric mean of their ratios, as `History.merit` has it.

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
        self._merits = {row.line: self._merit(row) for row in surface.rows}
        self.optimum = max(surface.rows, key=lambda row: self._merits[row.line])
        self._best = self._merits[self.optimum.line]
        if self._best == -math.inf:
            raise UserError(f"{surface.name}: no row of it is feasible; would be right: one that is, to find")
        slack = sum(-math.log1p(-share) if g.maximize else math.log1p(share) for g in self._goals)
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
        return math.exp((merit - self._best) / len(self._goals))

    def feasible(self, row: Row) -> bool:
        """Whether it serves and is within every SLO."""
        return row.failure is None and all(
            violation(m, row.truth[m], limit) <= 0 for m, limit in self._slos.items()
        )

    def _merit(self, row: Row) -> float:
        if not self.feasible(row):
            return -math.inf
        logs = 0.0
        for goal in self._goals:
            value = row.truth[goal.metric]
            if value <= 0:
                return -math.inf
            logs += math.log(value) if goal.maximize else -math.log(value)
        return logs
