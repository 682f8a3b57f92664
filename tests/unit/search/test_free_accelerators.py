"""Who is asked for a trial knows what is free, and wide ones get their turn."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tuner.search.ray.pool import Pool
from tuner.search.spare import PATIENCE, UNTOLD, Spare, narrowest
from tuner.trial.ports import Slot

TEXT = """\
parameters:
  tp: {values: [1, 2, 4], flag: --tp}
  batch: {values: [1, 2, 3, 4, 5, 6, 7, 8], flag: -b}
deploy: {accelerators: tp}
baseline: {tp: 1, batch: 1}
objective: {maximize: output_tokens_per_second}
"""


@pytest.fixture
def proposed(experiment):
    """The accelerators of suggestions, as so many are free, by a sampler."""
    from tuner.search.assembly import proposer_of
    from tuner.search.history import History, TrialRecord

    def suggest(sampler, free, most):
        read = experiment(f"search.sampler={sampler}", text=TEXT)
        history, spare = History(()), Spare(read.space)
        spare.free = lambda: free
        proposer = proposer_of(read, history, spare=spare)
        history.add(TrialRecord(0, read.space.baseline))
        found = []
        while len(found) < most and (params := proposer.propose(history.next_number())) is not None:
            history.add(TrialRecord(history.next_number(), params))
            found.append(read.space.accelerators(params))
        return found

    return suggest


@pytest.mark.parametrize("sampler", ["auto", "random", "grid", "tpe"])
def test_what_fits_is_preferred_and_all_is_tried_in_the_end(proposed, sampler):
    assert set(proposed(sampler, 4, 10)) == {1, 2, 4}
    found = proposed(sampler, 1, 30)
    assert found[:5] == [1] * 5
    assert len(found) == 23 and set(found) == {1, 2, 4}


def test_a_wide_one_gets_its_turn_after_it_was_passed_over_for_long(proposed):
    found = proposed("grid", 2, 16)
    first = next(i for i, width in enumerate(found) if width == 4)
    assert 1 <= first <= PATIENCE / UNTOLD + 2


def test_what_is_lost_by_passing_over_adds_up_until_the_best_gets_its_turn(experiment):
    spare = Spare(experiment(text=TEXT).space)
    assert spare.free() is None  # nobody counts
    assert [spare.passes_over(PATIENCE / 2.5) for _ in range(6)] == [True, True, False] * 2
    assert not spare.passes_over(PATIENCE)  # what fits is hopeless


def test_the_narrowest_configuration_is_found(experiment):
    assert narrowest(experiment(text=TEXT).space) == 1
    assert narrowest(experiment("deploy.accelerators=tp * 2", text=TEXT).space) == 2


def running(*trials):
    return [SimpleNamespace(accelerators=n, slot=Slot(node_id=node)) for n, node in trials]


def test_a_pool_counts_what_the_run_deployed_on_the_slots_node():
    pool = Pool({"a": 4.0, "b": 8.0, "c": 0.0}, narrowest=2)
    taken = running((3, "a"), (4, "b"))
    assert pool.free(taken, Slot(node_id="a")) == 1 and pool.is_spent(taken, Slot(node_id="a"))
    assert pool.free(taken, Slot(node_id="b")) == 4 and not pool.is_spent(taken, Slot(node_id="b"))
    assert pool.free(taken, Slot()) == 5  # bound to no node: it may be on either
    assert pool.free([], Slot()) == 8
    assert not pool.is_spent([], Slot(node_id="c"))  # nothing would ever change it


def test_without_accelerators_nothing_is_counted():
    pool = Pool({}, narrowest=0)
    assert pool.free(running((0, "")), Slot()) is None and not pool.is_spent(running((0, "")), Slot())
