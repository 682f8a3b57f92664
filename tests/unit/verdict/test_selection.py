from __future__ import annotations

from collections.abc import Sequence

from tuner.verdict.selection import choose


def always(trial: int, blocks: Sequence[int]) -> bool:
    return True


def test_a_candidate_told_apart_from_the_others_wins_wherever_it_lies() -> None:
    logs = {1: {0: 1.0, 1: 1.0, 2: 1.0}, 2: {0: 1.5, 1: 1.51, 2: 1.49}}
    choice = choose(logs, [0, 1, 2], nearest_first=[1, 2], feasible=always)
    assert (choice.winner, choice.leader, choice.tied) == (2, 2, ())


def test_where_folds_disagree_the_nearest_is_taken_and_nobody_leads() -> None:
    logs = {1: {0: 1.0, 1: 1.2, 2: 1.1}, 2: {0: 1.2, 1: 1.0, 2: 1.12}}
    choice = choose(logs, [0, 1, 2], nearest_first=[2, 1], feasible=always)
    assert (choice.winner, choice.leader, choice.tied) == (2, None, (2, 1))


def test_a_leader_of_all_blocks_wins_where_the_nearest_is_far_behind_though_not_told_apart() -> None:
    logs = {1: {0: 1.0, 1: 1.0, 2: 1.0}, 2: {0: 1.3, 1: 1.1, 2: 1.05}}
    choice = choose(logs, [0, 1, 2], nearest_first=[1, 2], feasible=always)
    assert (choice.winner, choice.leader, choice.tied) == (2, 2, ())


def test_where_folds_agree_on_a_narrow_lead_the_nearest_is_taken_and_the_leader_kept_in_mind() -> None:
    logs = {1: {0: 1.0, 1: 1.0, 2: 1.0}, 2: {0: 1.03, 1: 1.02, 2: 1.01}}
    choice = choose(logs, [0, 1, 2], nearest_first=[1, 2], feasible=always)
    assert (choice.winner, choice.leader, choice.tied) == (1, 2, (1, 2))


def test_a_fold_chooses_by_the_other_blocks_alone() -> None:
    # Trial 2 is far ahead in block 0 and behind elsewhere: blind to block 0, a fold prefers trial 1.
    logs = {1: {0: 1.0, 1: 1.1, 2: 1.1}, 2: {0: 9.0, 1: 1.0, 2: 1.0}}
    assert choose(logs, [0, 1, 2], nearest_first=[2, 1], feasible=always).leader is None


def test_a_fold_passes_over_a_candidate_that_is_infeasible_in_its_blocks() -> None:
    logs = {1: {0: 1.0, 1: 1.0, 2: 1.0}, 2: {0: 1.5, 1: 1.51, 2: 1.49}}

    def in_all_but_the_first_two(trial: int, blocks: Sequence[int]) -> bool:
        return trial == 1 or list(blocks) != [0, 1]

    choice = choose(logs, [0, 1, 2], nearest_first=[1, 2], feasible=in_all_but_the_first_two)
    assert (choice.leader, choice.tied) == (None, (1, 2))


def test_one_candidate_needs_no_choice() -> None:
    assert choose({5: {0: 1.0}}, [0], nearest_first=[5], feasible=always).winner == 5


def test_one_block_tells_nothing_apart() -> None:
    choice = choose({1: {0: 1.0}, 2: {0: 9.0}}, [0], nearest_first=[1, 2], feasible=always)
    assert choice.tied == (1, 2)
