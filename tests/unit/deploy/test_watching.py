"""Watches go on from where they were cut off, and say how long the server has been away."""

from __future__ import annotations

import importlib.util
import threading
import time
from pathlib import Path

import pytest

from tuner.deploy.kubernetes.resources import DEPLOYMENT, EVENT, POD
from tuner.deploy.kubernetes.stream import Broken
from tuner.deploy.kubernetes.watching import DEPLOYMENTS, EVENTS, PODS, Source, Watching

_spec = importlib.util.spec_from_file_location("cluster_fake", Path(__file__).with_name("cluster_fake.py"))
fake = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fake)


def pod(name, *, uid=None, **labels):
    return {"metadata": {"name": name, "labels": labels} | ({"uid": uid} if uid else {})}


@pytest.fixture
def cluster():
    return fake.FakeCluster()


@pytest.fixture
def watching(cluster):
    sources = [
        Source(PODS, POD, labels="of=t"),
        Source(DEPLOYMENTS, DEPLOYMENT, labels="of=t"),
        Source(EVENTS, EVENT, only_new=True, keep=lambda event: event["metadata"]["name"].startswith("t")),
    ]
    with Watching(cluster, sources) as found:
        until(found, lambda seen: seen.listed)
        until_watched(cluster, 3)
        yield found


def until(watching, condition):
    deadline = time.monotonic() + 5
    seen = watching.seen
    while not condition(seen):
        assert time.monotonic() < deadline, seen
        seen = watching.wait(seen, seconds=0.5)
    return seen


def until_watched(cluster, count):
    deadline = time.monotonic() + 5
    while sum(verb == "watch" for verb, *_ in cluster.calls) < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def names(seen):
    return [pod["metadata"]["name"] for pod in seen.pods]


def test_what_was_there_and_what_comes_and_goes_is_seen(cluster, watching):
    cluster.put("pods", pod("a", of="t"))
    seen = until(watching, lambda seen: names(seen) == ["a"])
    cluster.put("pods", {**pod("a", of="t"), "status": {"phase": "Running"}})
    assert until(watching, lambda seen: seen.pods[0].get("status"))
    assert seen.pods[0].get("status") is None  # a snapshot never changes
    cluster.drop("pods", "a")
    until(watching, lambda seen: not seen.pods)


def test_it_watches_and_never_asks_again_while_the_watch_holds(cluster, watching):
    before = len(cluster.calls)
    for number in range(5):
        cluster.put("pods", pod(f"p{number}", of="t"))
    until(watching, lambda seen: len(seen.pods) == 5)
    assert len(cluster.calls) == before


def test_events_from_before_and_of_others_are_left_out(cluster):
    cluster.put("events", pod("t.old"))
    with Watching(
        cluster, [Source(EVENTS, EVENT, only_new=True, keep=lambda e: "t." in e["metadata"]["name"])]
    ) as it:
        until_watched(cluster, 1)
        cluster.put("events", pod("other.new"))
        cluster.put("events", pod("t.new"))
        seen = until(it, lambda seen: seen.events)
    assert [arrived.found["metadata"]["name"] for arrived in seen.events] == ["t.new"]


def test_a_watch_that_ends_goes_on_without_a_new_list(cluster, watching):
    lists = sum(verb == "list" for verb, *_ in cluster.calls)
    cluster.end_watches()
    until_watched(cluster, 6)
    cluster.put("pods", pod("late", of="t"))
    until(watching, lambda seen: names(seen) == ["late"])
    assert sum(verb == "list" for verb, *_ in cluster.calls) == lists


def test_a_version_that_is_no_longer_known_is_listed_again(cluster, watching):
    cluster.put("pods", pod("a", of="t"))
    until(watching, lambda seen: names(seen) == ["a"])
    cluster.objects.pop(("pods", "a"))  # nobody told
    cluster.put("pods", pod("b", of="t"))
    cluster.end_watches(fake.expired())
    until(watching, lambda seen: names(seen) == ["b"])


def test_a_server_that_went_away_is_noted_and_forgotten_when_it_is_back(cluster, watching):
    cluster.down = True
    cluster.end_watches(Broken("connection reset"))
    seen = until(watching, lambda seen: seen.away_since is not None)
    assert seen.away_why
    cluster.down = False
    until(watching, lambda seen: seen.away_since is None)
    until_watched(cluster, 6)
    cluster.put("pods", pod("a", of="t"))
    until(watching, lambda seen: names(seen) == ["a"])


def test_a_watch_that_is_forbidden_is_told_at_once(cluster):
    cluster.refuse["list", "pods"] = 403
    with Watching(cluster, [Source(PODS, POD)]) as it:
        assert "403" in str(until(it, lambda seen: seen.refused).refused)


def test_its_threads_end_with_it(cluster):
    before = set(threading.enumerate())
    with Watching(cluster, [Source(PODS, POD), Source(EVENTS, EVENT, only_new=True)]) as it:
        until(it, lambda seen: seen.listed)
        until_watched(cluster, 2)
        begun = time.monotonic()
    assert time.monotonic() - begun < 0.5
    assert {thread for thread in threading.enumerate() if thread.is_alive()} <= before
