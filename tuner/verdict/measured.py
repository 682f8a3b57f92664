"""What the verdict is made from: validation deployments, the candidates, and how they are merged."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Violations = Mapping[str, float]  # SLO metric -> share beyond the limit; <= 0 is within
Merge = Callable[[int, Sequence[int]], Violations]  # trial, blocks -> violations of the merged rounds


def _no_bound(_trial: int, _blocks: Sequence[int]) -> Violations:
    return {}


def within(violations: Violations) -> bool:
    """Whether every limit is met; what cannot be told (NaN) is not met."""
    return all(v <= 0 for v in violations.values())


@dataclass(frozen=True, slots=True)
class Validated:
    """One validation deployment.

    Attributes:
        value: the objective, in its own unit; None where there was no measurement to be trusted.
        violations: SLO metric -> share beyond the limit; <= 0 is within.
        failure: why the deployment failed, one line, where the configuration is the cause; else "".
        node: where it ran; "" where that is not known.
        cold: the first use of the model there: its caches were empty.
    """

    trial: int
    block: int
    value: float | None
    violations: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    failure: str = ""
    node: str = ""
    cold: bool = False

    @property
    def measured(self) -> bool:
        """Whether it has a value that a ratio can be taken of."""
        return not self.failure and self.value is not None and 0 < self.value < math.inf


def cold_apart(measured: Sequence[Validated]) -> tuple[list[Validated], list[Validated]]:
    """What may be compared, and what is left out: cold deployments of blocks in which others were warm."""
    warm = {one.block for one in measured if one.measured and not one.cold}
    left_out = [one for one in measured if one.measured and one.cold and one.block in warm]
    return [one for one in measured if one not in left_out], left_out


@dataclass(frozen=True, slots=True)
class Candidate:
    """A configuration from the search that is validated.

    Attributes:
        distance: to the baseline, as the space measures it.
        rank: its place in the search, 0 the best; breaks ties of distance.
    """

    trial: int
    distance: float
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Searched:
    """A trial of the search, for a run without a validation.

    Attributes:
        value: the objective; None where it was not measured.
    """

    trial: int
    value: float | None
    violations: dict[str, float] = field(default_factory=dict)
    failed: bool = False

    @property
    def measured(self) -> bool:
        """It has a value."""
        return not self.failed and self.value is not None

    @property
    def feasible(self) -> bool:
        """Measured, and within every limit."""
        return self.measured and within(self.violations)


class Arms:
    """The validation's deployments by trial and block."""

    def __init__(
        self,
        measured: Sequence[Validated],
        *,
        maximize: bool,
        merge: Merge | None,
        bound: Merge | None = None,
    ) -> None:
        self._by_trial: dict[int, dict[int, Validated]] = {}
        for one in measured:
            self._by_trial.setdefault(one.trial, {})[one.block] = one
        self._sign = 1 if maximize else -1
        self._merge = merge or self._mean
        self._bound = bound or _no_bound

    def failures(self, trial: int) -> list[Validated]:
        """Its failed deployments, by block."""
        return [one for _, one in sorted(self._of(trial).items()) if one.failure]

    def blocks(self, trial: int) -> list[int]:
        """The blocks in which it was measured."""
        return sorted(block for block, one in self._of(trial).items() if one.measured)

    def shared_blocks(self, candidates: Sequence[int], baseline: int) -> list[int]:
        """Blocks in which all of them were measured; without the baseline where it never was."""
        sets = [set(self.blocks(c)) for c in candidates]
        if self.blocks(baseline):
            sets.append(set(self.blocks(baseline)))
        return sorted(set.intersection(*sets))

    def violations(self, trial: int) -> Violations:
        """Over all the blocks in which it was measured."""
        return self._merge(trial, self.blocks(trial))

    def feasible(self, trial: int, blocks: Sequence[int] | None = None) -> bool:
        """Measured and within every limit, over `blocks` or all that it was measured in."""
        chosen = self.blocks(trial) if blocks is None else blocks
        return bool(chosen) and within(self._merge(trial, chosen))

    def bounds(self, trial: int) -> Violations:
        """By the upper bounds of percentiles, over all the blocks in which it was measured."""
        return self._bound(trial, self.blocks(trial))

    def surely_feasible(self, trial: int) -> bool:
        """Feasible, and by the upper bounds of its percentiles too."""
        return self.feasible(trial) and within(self.bounds(trial))

    def known_infeasible(self, trial: int) -> bool:
        """Measured and beyond a limit, or not measured because every deployment of it failed."""
        if self.blocks(trial):
            return not self.feasible(trial)
        return bool(self.failures(trial)) and all(one.failure for one in self._of(trial).values())

    def logs(self, trial: int, blocks: Sequence[int]) -> dict[int, float]:
        """Block -> log of its value, turned so that larger is better."""
        return {b: self._sign * math.log(self._of(trial)[b].value or math.nan) for b in blocks}

    def nodes(self, trial: int, blocks: Sequence[int]) -> dict[int, str]:
        """Block -> where it ran."""
        return {b: self._of(trial)[b].node for b in blocks}

    def _of(self, trial: int) -> dict[int, Validated]:
        return self._by_trial.get(trial, {})

    def _mean(self, trial: int, blocks: Sequence[int]) -> Violations:
        found = [self._of(trial)[b].violations for b in blocks]
        names = sorted({name for v in found for name in v})
        return {n: math.fsum(v.get(n, math.nan) for v in found) / len(found) for n in names}
