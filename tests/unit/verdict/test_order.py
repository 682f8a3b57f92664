from __future__ import annotations

import random
from collections import Counter

import pytest

from tuner.verdict import block_order


def plan(arms: list[int], blocks: int, seed: int = 0) -> list[list[int]]:
    return [block_order(arms, b, random.Random(seed), blocks=blocks) for b in range(blocks)]


@pytest.mark.parametrize("seed", range(20))
def test_as_many_blocks_as_arms_put_each_arm_once_in_each_place(seed: int) -> None:
    orders = plan([0, 4, 9], 3, seed)
    assert all(sorted(place) == [0, 4, 9] for place in zip(*orders, strict=True))


@pytest.mark.parametrize("seed", range(20))
def test_fewer_blocks_than_arms_come_in_mirrored_pairs(seed: int) -> None:
    one, two = plan([0, 4, 9], 2, seed)
    assert one == two[::-1]


def test_an_unknown_number_of_blocks_comes_in_mirrored_pairs_of_fresh_draws() -> None:
    orders = [block_order(list(range(9)), b, random.Random(1)) for b in range(4)]
    assert orders[0] == orders[1][::-1]
    assert orders[2] == orders[3][::-1]
    assert orders[0] not in (orders[2], orders[3])


def test_one_generator_serves_all_blocks_and_is_not_advanced() -> None:
    rng = random.Random(5)
    orders = [block_order([0, 4, 9], b, rng, blocks=3) for b in range(3)]
    assert orders == plan([0, 4, 9], 3, seed=5)


def test_the_order_is_drawn() -> None:
    firsts = Counter(plan([0, 1, 2], 3, seed=s)[0][0] for s in range(300))
    assert min(firsts.values()) > 60


def test_every_block_holds_every_arm_and_repeats_from_its_arguments_alone() -> None:
    orders = plan([3, 1, 2, 0], 7)
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    assert orders == plan([3, 1, 2, 0], 7)
    assert orders != plan([3, 1, 2, 0], 7, seed=1)


@pytest.mark.parametrize(("arms", "block"), [([], 0), ([1], 3), ([1], -1)])
def test_a_block_that_is_not_there_is_refused(arms: list[int], block: int) -> None:
    with pytest.raises(ValueError, match="no such block"):
        block_order(arms, block, random.Random(0), blocks=3)
