"""In which order the configurations of a validation block are deployed: balanced, and drawn."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

Arm = TypeVar("Arm")


def block_order(arms: Sequence[Arm], block: int, *, blocks: int, seed: int) -> list[Arm]:
    """The order of `arms` in one of `blocks` blocks (0-based).

    A machine that warms up or fills up through a block favours whoever comes first, so no arm may come
    first more often than another. As many whole Latin squares as fit (each arm once in each place; rows
    and arms drawn), then pairs of a drawn order and its mirror image (a linear drift cancels within the
    pair), then one drawn order. The answer depends on the arguments alone: a resumed run goes on with
    the order it began.

    Raises:
        ValueError: `block` is not one of `blocks`, or there are no arms.
    """
    if not arms or not 0 <= block < blocks:
        raise ValueError(f"block {block} of {blocks} with {len(arms)} arms: no such block")
    rng = random.Random(f"validation order {seed}")
    plan: list[list[Arm]] = []
    while len(plan) < blocks:
        plan += _group(arms, blocks - len(plan), rng)
    return plan[block]


def _group(arms: Sequence[Arm], left: int, rng: random.Random) -> list[list[Arm]]:
    drawn = rng.sample(arms, len(arms))
    if left >= len(arms):
        square = [drawn[shift:] + drawn[:shift] for shift in range(len(drawn))]
        return rng.sample(square, len(square))
    return [drawn, drawn[::-1]] if left >= 2 else [drawn]
