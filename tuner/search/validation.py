"""The order in which candidates and baseline are deployed again: paired, order-balanced blocks."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tuner.search.history import Key
from tuner.trial.ports import Phase
from tuner.verdict import block_order

Planned = tuple[int, int]  # trial, block


@dataclass(slots=True)
class Schedule:
    """What is still to be deployed, block after block; a block starts when the one before has ended."""

    remaining: list[Planned] = field(default_factory=list)
    _current: int | None = None

    @classmethod
    def drawn(
        cls, arms: Sequence[int], blocks: int, rng: random.Random, *, done: Collection[Planned] = ()
    ) -> Schedule:
        """`blocks` blocks of all `arms`, less those that are `done`. The same seed draws the same order."""
        order: list[Planned] = []
        for block in range(blocks if arms else 0):
            order += [(arm, block) for arm in block_order(arms, block, rng, blocks=blocks)]
        return cls([planned for planned in order if planned not in done])

    @property
    def exhausted(self) -> bool:
        """Whether all of it was handed out."""
        return not self.remaining

    def next(self, running: Collection[Key]) -> Planned | None:
        """The next deployment; None while the block before is still being measured, or at the end."""
        if not self.remaining:
            return None
        block = self.remaining[0][1]
        if self._current not in (None, block) and any(phase is Phase.VALIDATION for _, phase, _ in running):
            return None
        self._current = block
        return self.remaining.pop(0)
