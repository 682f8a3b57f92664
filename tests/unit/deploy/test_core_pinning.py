"""Cores are shared out so that no engine shares one, and all slots get alike."""

import os

import pytest

from tuner.deploy.pinning import Cores, available_cores, share_out
from tuner.errors import UserError
from tuner.trial.ports import Slot


def cores(of, count, pinning="auto"):
    return [share_out(pinning, Slot(index=i, of=of), range(count)) for i in range(of)]


def test_two_cores_are_one_for_the_load_and_one_for_the_engine():
    assert cores(1, 2) == [Cores(engine=(1,), load=(0,))]


def test_one_core_is_not_pinned():
    assert cores(1, 1) == [Cores()]


def test_none_is_not_pinned():
    assert cores(2, 16, "none") == [Cores(), Cores()]


@pytest.mark.parametrize(("of", "count"), [(1, 3), (2, 8), (3, 8), (4, 64), (8, 96), (4, 5), (2, 3)])
def test_slots_get_equally_many_cores_of_their_own(of, count):
    shared = cores(of, count)
    engines = [core for slot in shared for core in slot.engine]
    assert len({len(slot.engine) for slot in shared}) == 1
    assert len(set(engines)) == len(engines)
    assert not set(engines) & {core for slot in shared for core in slot.load}


def test_many_cores_give_each_load_one_of_its_own():
    assert len({slot.load for slot in cores(4, 64)}) == 4


def test_more_slots_than_cores_share_and_leave_the_load_alone():
    assert cores(4, 3) == [Cores((1,), (0,)), Cores((2,), (0,)), Cores((1,), (0,)), Cores((2,), (0,))]


def test_named_cores_are_taken_as_they_are():
    assert share_out({"engine": [2, 3], "load": [0]}, Slot(), range(4)) == Cores((2, 3), (0,))


@pytest.mark.parametrize(
    ("pinning", "says"),
    [({"engine": [7]}, r"cores \[7\]; this process may use \[0, 1\]"), ({"ram": [1]}, "ram")],
)
def test_cores_that_are_not_there_are_one_line(pinning, says):
    with pytest.raises(UserError, match=says):
        share_out(pinning, Slot(), range(2))


def test_threads_of_a_core_stand_next_to_each_other(tmp_path):
    for cpu in range(8):  # as Linux numbers them: the second threads of 0..3 are 4..7; two sockets
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text(f"{cpu % 2}\n")
        (folder / "core_id").write_text(f"{cpu % 4}\n")
    assert available_cores(tmp_path, set(range(8)) - {6}) == (0, 4, 2, 1, 5, 3, 7)


def test_a_load_that_pins_this_process_does_not_shrink_what_engines_may_use():
    before, own = available_cores(), os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(own)})
    try:
        assert available_cores() == before
    finally:
        os.sched_setaffinity(0, own)


def test_a_machine_that_tells_no_topology_is_taken_in_order(tmp_path):
    assert available_cores(tmp_path) == tuple(sorted(os.sched_getaffinity(0)))
