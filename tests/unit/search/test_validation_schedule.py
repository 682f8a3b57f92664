"""Which deployment the validation hands out next, and to which place."""

from __future__ import annotations

import random
from collections import Counter

from tuner.search.validation import Plan, Schedule, blocks_of

ARMS = [0, 4, 7]


def drawn(**more) -> Schedule:
    return Schedule.drawn(ARMS, 3, random.Random(1), **more)


def all_of(schedule: Schedule, places) -> dict[int, list]:
    """Block -> (place, trial); the places ask in turn."""
    found: dict[int, list] = {}
    for _ in range(20):
        for place in places:
            planned = schedule.next(False, place)
            if planned is not None:
                found.setdefault(planned[1], []).append((place, planned[0]))
    assert schedule.exhausted
    return found


def test_a_block_starts_when_the_one_before_has_ended():
    schedule = drawn()
    assert [schedule.next(True)[1] for _ in range(3)] == [0, 0, 0]
    assert schedule.next(True) is None
    assert schedule.next(False)[1] == 1


def test_over_several_nodes_each_block_keeps_to_its_place():
    found = all_of(drawn(apart=True, patience=2), ["a", "b"])
    assert sorted(found) == [0, 1, 2]
    for block in found.values():
        assert len({place for place, _ in block}) == 1
        assert sorted(trial for _, trial in block) == ARMS


def test_a_place_without_a_block_of_its_own_waits_while_another_one_works():
    schedule = drawn(apart=True, patience=3)
    for place in "abc":
        assert schedule.next(True, place) is not None
    assert all(schedule.next(True, "d") is None for _ in range(20))
    assert schedule.next(True, "a")[1] == 0


def test_a_block_whose_place_is_gone_is_taken_over_once_nothing_else_runs():
    schedule = drawn(apart=True, patience=2)
    for place in "abc":
        schedule.next(True, place)
    found = all_of(schedule, ["b", "c"])
    assert len(found[0]) == 2


def test_blocks_are_numbered_on_and_what_is_done_is_left_out():
    schedule = drawn(first=3, done={(0, 3), (4, 3), (7, 3), (4, 5)})
    assert Counter(block for _, block in schedule.remaining) == {4: 3, 5: 2}


def test_candidates_that_there_are_none_of_leave_their_deployments_to_the_others():
    plan = Plan(top=2, blocks=3, parallel=1, seed=0)
    assert [blocks_of(plan, candidates) for candidates in (0, 1, 2)] == [0, 4, 3]
    assert blocks_of(Plan(top=1, blocks=3, parallel=1, seed=0), 1) == 3
