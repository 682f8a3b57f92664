"""Which configurations of two runs are set beside each other, and the deployments that measured them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.results.lines import TrialLine
from tuner.results.overview import BASELINE, Overview
from tuner.trial.ports import ParamValue, Phase, State
from tuner.verdict import Outcome


@dataclass(frozen=True, slots=True)
class Arm:
    """One configuration as one run measured it.

    Attributes:
        role: "baseline", "winner", "best of the search", or "trial".
        lines: the deployments whose figures may be trusted: of the validation, and of the search where
            the configuration was not chosen by its figure there (the baseline) or there is nothing else.
        left_out: how many more of those there were: failed, interrupted or not to be trusted.
    """

    role: str
    trial: int
    params: dict[str, ParamValue]
    lines: tuple[TrialLine, ...]
    left_out: int

    def values(self, metric: str) -> list[float]:
        """One for each deployment that has the metric."""
        return [line.metrics[metric] for line in self.lines if metric in line.metrics]

    @property
    def flattered(self) -> bool:
        """Whether its only figure is the one by which the search chose it."""
        chosen = self.role in ("winner", "best of the search")
        return chosen and bool(self.lines) and all(line.phase is Phase.SEARCH for line in self.lines)

    def __str__(self) -> str:
        name = self.role if self.role == "baseline" else f"{self.role}, trial {self.trial}"
        count = len(self.lines)
        return f"{name}, {count} deployment{'s' * (count != 1)}" if count else f"{name}, not measured"


def paired_arms(a: Overview, b: Overview) -> list[tuple[str, Arm, Arm]]:
    """(title, A's arm, B's arm): the baselines, the winners, and each winner's configuration where the
    other run measured just that one too.
    """
    found = [("baseline", arm(a, BASELINE, "baseline"), arm(b, BASELINE, "baseline"))]
    best_a, best_b = winner(a), winner(b)
    if best_a is not None and best_b is not None:
        found.append(("winner", best_a, best_b))
    if best_a is not None and (same := _same_configuration(b, best_a)) is not None:
        found.append(("A's winner in both", best_a, same))
    if best_b is not None and (same := _same_configuration(a, best_b)) is not None:
        found.append(("B's winner in both", same, best_b))
    seen: dict[tuple[int, int], tuple[str, Arm, Arm]] = {}
    for title, one, other in found:
        seen.setdefault((one.trial, other.trial), (title, one, other))
    return list(seen.values())


def gains(seen: Overview, metric: str) -> list[float]:
    """The winner's value over the baseline's in each block of the validation that measured both.

    What the machine did at the time leaves with each block's ratio, so gains of two runs can be compared
    whatever lies between them. Empty where the winner is the baseline or was not validated.
    """
    best = winner(seen)
    if best is None or best.trial == BASELINE:
        return []
    by_trial = {
        trial: {line.block: line.metrics.get(metric, 0.0) for line in arm(seen, trial, "").lines}
        for trial in (BASELINE, best.trial)
    }
    below, above = by_trial[BASELINE], by_trial[best.trial]
    blocks = [b for b in above if b is not None and b in below and above[b] > 0 and below[b] > 0]
    return [above[b] / below[b] for b in blocks]


def winner(seen: Overview) -> Arm | None:
    """What the run recommends (the baseline where it keeps that), else the best of its search so far."""
    verdict = seen.verdict
    if verdict is not None and verdict.outcome is not Outcome.UNVALIDATED:
        return None if verdict.winner is None else _named(seen, verdict.winner, "winner")
    best = verdict.winner if verdict is not None else seen.leader.trial if seen.leader else None
    return None if best is None else _named(seen, best, "best of the search")


def arm(seen: Overview, trial: int, role: str) -> Arm:
    """The deployments of a trial that an interval may rest on.

    The validation's deployments lie close together in time, so their scatter says little of the machine's
    drift over a run. The baseline's of the search was made near the start, and no choice was made by its
    figure, so it counts too: of the ten pairs of five like runs, minutes apart on one machine, five baselines
    were told apart without it and one with it. Of another trial the search's figure is what chose it.
    """
    validation = [line for line in seen.validation if line.trial == trial]
    search = [line for line in seen.search if line.trial == trial]
    lines = validation + search if trial == BASELINE else validation
    if not any(_trusted(seen, line) for line in lines):
        lines = search
    trusted = tuple(line for line in lines if _trusted(seen, line))
    params = next((line.params for line in (*search, *validation)), {})
    return Arm(role, trial, params, trusted, len(lines) - len(trusted))


def _named(seen: Overview, trial: int, role: str) -> Arm:
    return arm(seen, trial, "baseline" if trial == BASELINE else role)


def _trusted(seen: Overview, line: TrialLine) -> bool:
    """Measured to its end, with a round that is neither client-bound nor off its load."""
    rounds = seen.rounds_of(line.key)
    return line.state is State.COMPLETE and bool(line.values) and any(one.round.usable for one in rounds)


def _same_configuration(seen: Overview, other: Arm) -> Arm | None:
    if not other.params:
        return None
    able = [line.trial for line in _most_measured_first(seen) if line.params == other.params]
    return _named(seen, able[0], "trial") if able else None


def _most_measured_first(seen: Overview) -> Sequence[TrialLine]:
    return [*seen.validation, *(line for line in seen.search if _trusted(seen, line))]
