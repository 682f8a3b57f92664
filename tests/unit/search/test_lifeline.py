"""A raylet that dies while nobody looks ends the driver in one line; its own end in good order does not."""

from __future__ import annotations

import threading

import pytest

from tuner.search.ray import lifeline


class Raylet:
    """Dead once it is told so; says when it was looked at since."""

    def __init__(self):
        self.ended = False
        self.seen_dead = threading.Event()

    @property
    def dead(self):
        if self.ended:
            self.seen_dead.set()
        return self.ended


@pytest.fixture
def raylet(monkeypatch):
    monkeypatch.setattr(lifeline, "_LOOK_SECONDS", 0.005)
    monkeypatch.setattr(lifeline, "_UNNOTICED_SECONDS", 0.05)
    yield Raylet()
    lifeline.expect_its_end()


@pytest.fixture
def left(raylet):
    """Set once the driver was made to leave."""
    made = threading.Event()
    lifeline.end_without(raylet, leave=made.set)
    return made


def test_a_raylet_that_dies_unnoticed_makes_the_driver_leave(raylet, left):
    assert not left.wait(0.05)
    raylet.ended = True
    assert left.wait(5)


def test_where_somebody_says_it_nothing_more_is_done(raylet, left):
    raylet.ended = True
    assert raylet.seen_dead.wait(5)
    lifeline.expect_its_end()
    assert not left.wait(0.2)


def test_a_ray_that_is_stopped_is_no_surprise(raylet, left):
    lifeline.expect_its_end()
    raylet.ended = True
    assert not left.wait(0.2)
