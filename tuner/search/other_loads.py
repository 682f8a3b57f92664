"""The winner and the baseline at other loads than the workload's: the rounds that followed the blocks'."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from tuner.search.history import Deployment, History
from tuner.search.worth import Worth
from tuner.trial.ports import Objective, Phase, State
from tuner.trial.rounds import RoundResult
from tuner.verdict import OtherLoad, Verdict
from tuner.verdict.additive import Additive
from tuner.verdict.measured import within

_PAIRED = (Phase.VALIDATION, Phase.SIMPLIFY)


def seen_at_other_loads(
    verdict: Verdict, history: History, worth: Worth, *, objective: Objective, loads: Sequence[float]
) -> Verdict:
    """The verdict with what its winner does there; as it is where the baseline is kept, or nothing is.

    Args:
        loads: multiples of the load, in the order in which every deployment of a block was measured at them.
    """
    winner = verdict.winner
    if winner is None or winner == verdict.baseline or not verdict.recommends:
        return verdict
    seen = [_OneLoad(history, worth, objective, load, place) for place, load in enumerate(loads)]
    return _with_loads(verdict, [one.told(winner, verdict.baseline) for one in seen])


def _with_loads(verdict: Verdict, loads: Sequence[OtherLoad]) -> Verdict:
    """The verdict with what was seen at the other loads; a collapse stands in the headline, and first."""
    if not loads:
        return verdict
    fallen = [one for one in loads if one.collapses]
    held = [one for one in loads if not one.collapses]
    said = []
    headline = verdict.headline
    if fallen:
        where = " and ".join(f"{one.load:g}" for one in fallen)
        headline = f"{headline.rstrip('.')}, but not at {where} times the load."
        told = "; ".join(map(str, fallen))
        said.append(f"Trial {verdict.winner} does not hold up at another load than it was chosen at: {told}.")
    if held:
        said.append(f"At other loads trial {verdict.winner} holds up: {'; '.join(map(str, held))}.")
    details = (*said, *verdict.details) if fallen else (*verdict.details, *said)
    return replace(verdict, headline=headline, details=details, loads=tuple(loads))


class _OneLoad:
    """All deployments in blocks, as they were at one of the loads."""

    def __init__(self, history: History, worth: Worth, objective: Objective, load: float, place: int) -> None:
        self._worth = worth
        self._objective = objective
        self._load = load
        self._place = place
        self._deployments = [
            d for phase in _PAIRED for d in history.deployments(phase) if d.state is State.COMPLETE
        ]

    def told(self, winner: int, baseline: int) -> OtherLoad:
        """Of the winner beside the baseline."""
        logs: dict[int, dict[int, float]] = {}
        nodes: dict[int, dict[int, str]] = {}
        for d in self._deployments:
            log = self._log(d)
            if d.block is not None and log is not None:
                logs.setdefault(d.trial, {})[d.block] = log
                nodes.setdefault(d.trial, {})[d.block] = d.node
        fit = Additive(logs, nodes)
        gain = fit.gain(winner, baseline) if fit.shared(winner, baseline) else None
        failed = self._failure(winner)
        return OtherLoad(
            self._load,
            gain,
            self._missed(winner, baseline),
            failed if failed and not self._failure(baseline) else "",
        )

    def _missed(self, winner: int, baseline: int) -> dict[str, float]:
        """Limits that the baseline keeps there by its merged rounds, and the winner does not."""
        mine, other = self._violations(winner), self._violations(baseline)
        return {
            name: v
            for name, v in mine.items()
            if not v <= 0 and name in other and within({name: other[name]})
        }

    def _violations(self, trial: int) -> dict[str, float]:
        rounds = [r for d in self._deployments if d.trial == trial for r in self._rounds(d)]
        return self._objective.score(rounds).violations if rounds else {}

    def _failure(self, trial: int) -> str:
        """Why one of its deployments ended at this load."""
        for d in self._deployments:
            if d.trial == trial and d.failure is not None and len(d.other_loads) == self._place:
                return f"{d.failure.kind}: {d.failure.message}"
        return ""

    def _log(self, deployment: Deployment) -> float | None:
        rounds = self._rounds(deployment)
        value = self._worth.value(self._objective.score(rounds)) if rounds else None
        if value is None or not 0 < value < math.inf:
            return None
        return math.log(value) if self._worth.maximize else -math.log(value)

    def _rounds(self, deployment: Deployment) -> list[RoundResult]:
        return [r for r in deployment.other_loads if r.load == self._load]
