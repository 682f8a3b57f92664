"""In which order the configurations of a validation block are deployed: balanced, and drawn."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import TypeVar

Arm = TypeVar("Arm")


def block_order(
    arms: Sequence[Arm], block: int, rng: random.Random, *, blocks: int | None = None
) -> list[Arm]:
    """The order of `arms` in block number `block` (0-based).

    A machine that warms up or fills up through a block favours whoever comes first, so no arm may come
    first more often than another. Where it is known how many `blocks` there will be, as many whole Latin
    squares as fit come first (each arm once in each place; rows and arms drawn). After them, or where it
    is not known, pairs of a drawn order and its mirror image: a linear drift cancels within the pair.

    `rng` is read, not advanced: the order depends on its state alone, so every block of one validation
    is asked for with `rng` in the same state, and a resumed run goes on with the order it began.

    Raises:
        ValueError: there is no such block, or there are no arms.
    """
    if not arms or block < 0 or (blocks is not None and block >= blocks):
        raise ValueError(f"block {block} of {blocks} with {len(arms)} arms: no such block")
    drawing = copy.copy(rng)
    plan: list[list[Arm]] = []
    while len(plan) <= block:
        left = 0 if blocks is None else blocks - len(plan)
        plan += _square(arms, drawing) if left >= len(arms) else _mirrored(arms, drawing)
    return plan[block]


def _square(arms: Sequence[Arm], rng: random.Random) -> list[list[Arm]]:
    drawn = rng.sample(arms, len(arms))
    rows = [drawn[shift:] + drawn[:shift] for shift in range(len(drawn))]
    return rng.sample(rows, len(rows))


def _mirrored(arms: Sequence[Arm], rng: random.Random) -> list[list[Arm]]:
    drawn = rng.sample(arms, len(arms))
    return [drawn, drawn[::-1]]
