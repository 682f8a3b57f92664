"""What is deployed after the search: candidates and baseline again, in paired, order-balanced blocks; then,
where the winner may be simplified, the simplified one beside both.

On one node the arms of a block run side by side, so that they share its moments. Over several nodes each
block keeps to one place instead, its arms one after another: what the nodes differ by is then common to it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tuner.search.history import History, Key, TrialRecord
from tuner.trial.ports import ParamValue, Phase, State
from tuner.verdict import block_order

Planned = tuple[int, int]  # trial, block
ARMS = 3  # of the simplification: the baseline, the winner, the simplified one


@dataclass(frozen=True, slots=True)
class Simplification:
    """What may take the winner's place.

    Attributes:
        trial: its number; that of a new record, or of a configuration that the search has tried.
        winner: whose flags go back.
        back: the parameters that go back to the baseline's values.
        blocks: how often it, the winner and the baseline are deployed.
    """

    trial: int
    params: dict[str, ParamValue]
    winner: int
    back: tuple[str, ...]
    blocks: int


class Simplifier(Protocol):
    """Says, once the validation has ended, what is to be tried in the winner's place."""

    def plan(self, history: History, candidates: Sequence[int]) -> Simplification | str:
        """What to deploy, or one line that says why nothing is."""
        ...


@dataclass(slots=True)
class Schedule:
    """What is still to be deployed.

    Block after block, one starting when the one before has ended; or, `apart`, each block at a place of its
    own, side by side.

    Args:
        patience: how often in a row places may be refused a block that another place has begun, while nothing
            of the schedule runs; then that place is taken for gone.
    """

    remaining: list[Planned] = field(default_factory=list)
    apart: bool = False
    patience: int = 1
    _current: int | None = None
    _held: dict[int, Hashable] = field(default_factory=dict)  # block -> its place
    _refused: int = 0

    @classmethod
    def drawn(
        cls,
        arms: Sequence[int],
        blocks: int,
        rng: random.Random,
        *,
        done: Collection[Planned] = (),
        first: int = 0,
        apart: bool = False,
        patience: int = 1,
    ) -> Schedule:
        """`blocks` blocks of all `arms`, numbered from `first`, less those that are `done`.

        The same seed draws the same order.
        """
        order: list[Planned] = []
        for block in range(blocks if arms else 0):
            order += [(arm, first + block) for arm in block_order(arms, block, rng, blocks=blocks)]
        left = [planned for planned in order if planned not in done]
        return cls(left, apart=apart, patience=patience)

    @property
    def exhausted(self) -> bool:
        """Whether all of it was handed out."""
        return not self.remaining

    def next(self, busy: bool, place: Hashable = None) -> Planned | None:
        """The next deployment for `place`; None for nothing now, or at the end.

        Args:
            busy: whether something of the schedule is being measured.
        """
        if not self.remaining:
            return None
        if self.apart:
            return self._next_at(place, busy)
        block = self.remaining[0][1]
        if self._current not in (None, block) and busy:
            return None
        self._current = block
        return self.remaining.pop(0)

    def _next_at(self, place: Hashable, busy: bool) -> Planned | None:
        left = dict.fromkeys(block for _, block in self.remaining)
        own = [b for b in left if self._held.get(b) == place]
        free = [b for b in left if b not in self._held]
        if not own and not free:
            self._refused = 0 if busy else self._refused + 1
            if self._refused <= self.patience:
                return None
            free = list(left)
        self._refused = 0
        block = (own or free)[0]
        self._held[block] = place
        found = next(planned for planned in self.remaining if planned[1] == block)
        self.remaining.remove(found)
        return found


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of it there is.

    Attributes:
        top: how many candidates are validated at most.
        blocks: deployments of each of them, and of the baseline.
        parallel: how many places there are.
    """

    top: int
    blocks: int
    parallel: int
    seed: int


class Validation:
    """The deployments after the search, one phase after the other."""

    def __init__(
        self, history: History, plan: Plan, *, candidates: Sequence[int], simplifier: Simplifier | None
    ) -> None:
        self.phase = Phase.VALIDATION
        self._history = history
        self._plan = plan
        self._candidates = tuple(candidates)
        self._simplifier = simplifier
        begun = any(True for _ in history.deployments(Phase.SIMPLIFY))
        arms = [0, *candidates] if candidates and not begun else []
        self._schedule = self._drawn(arms, blocks_of(plan, len(candidates)), first=0)

    @property
    def exhausted(self) -> bool:
        """Whether all of it was handed out, and nothing is left to be planned."""
        return self._schedule.exhausted and self._simplifier is None

    def next(
        self, running: Collection[Key], place: Hashable = None, *, room: Callable[[int], bool]
    ) -> Planned | None:
        """The next deployment of `phase`, for `place`; None for nothing now, or at the end.

        Args:
            running: every deployment that is being measured.
            room: whether the budget has room for so many deployments more.
        """
        busy = any(phase is self.phase for _, phase, _ in running)
        found = self._schedule.next(busy, place)
        if found is None and self._schedule.exhausted and not running and self._simplifier is not None:
            self._simplify(self._simplifier, room)
            found = self._schedule.next(False, place)
        return found

    def _simplify(self, simplifier: Simplifier, room: Callable[[int], bool]) -> None:
        self._simplifier = None
        found = simplifier.plan(self._history, self._candidates)
        if isinstance(found, str):
            return
        begun = any(True for _ in self._history.deployments(Phase.SIMPLIFY))
        if not begun and not room(ARMS * found.blocks):
            return
        self.phase = Phase.SIMPLIFY
        if found.trial not in self._history.records:
            self._history.add(TrialRecord(found.trial, dict(found.params)))
        first = first_simplified(self._history)
        self._schedule = self._drawn([0, found.winner, found.trial], found.blocks, first=first)

    def _drawn(self, arms: Sequence[int], blocks: int, *, first: int) -> Schedule:
        done = {
            (d.trial, d.block)
            for d in self._history.deployments(self.phase)
            if d.block is not None and d.state is not State.INTERRUPTED
        }
        return Schedule.drawn(
            arms,
            blocks,
            random.Random(self._plan.seed),
            done=done,
            first=first,
            apart=len({d.node for d in self._history.deployments(Phase.SEARCH) if d.node}) > 1,
            patience=self._plan.parallel,
        )


def blocks_of(plan: Plan, candidates: int) -> int:
    """How many blocks the validation has: candidates that there are none of leave theirs to the others."""
    if not candidates:
        return 0
    return max(plan.blocks, (plan.top + 1) * plan.blocks // (candidates + 1))


def first_simplified(history: History) -> int:
    """The number of the simplification's first block: they go on where the validation's end."""
    blocks = [d.block for d in history.deployments(Phase.VALIDATION) if d.block is not None]
    return 1 + max(blocks, default=-1)
