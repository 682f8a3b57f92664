"""A deployment on its way out: its pods are watched, and the API server is hardly asked."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import pytest

from tuner.deploy.kubernetes.leaving import Leaving
from tuner.deploy.kubernetes.resources import DEPLOYMENT, SERVICE

_spec = importlib.util.spec_from_file_location("cluster_fake", Path(__file__).with_name("cluster_fake.py"))
fake = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fake)

NAME = "demo-t0001-a1"
LABELS = {"autotuner.io/experiment-id": NAME}


@pytest.fixture
def cluster():
    """With a deployment, its service, and its pod, which goes when the test says so."""
    made = fake.FakeCluster()
    for plural in ("deployments", "services"):
        made.put(plural, {"metadata": {"name": NAME, "labels": LABELS}})
    made.put("pods", {"metadata": {"name": "pod", "labels": LABELS}})
    return made


class Clock:
    """Monotonic seconds, moved by the test."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def leaving(cluster, clock):
    return Leaving(cluster, (DEPLOYMENT, SERVICE), now=clock)


def until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def seen(leaving):
    return leaving._followed[NAME].watching.seen


def test_what_never_was_is_gone_at_once(leaving):
    leaving.ask("other")
    assert leaving.gone("other")
    assert leaving._followed == {}


def test_a_pod_that_takes_its_time_is_watched_and_not_asked_for(leaving, cluster):
    leaving.ask(NAME)
    assert not leaving.gone(NAME)
    until(lambda: ("watch", "pods", f"autotuner.io/experiment-id={NAME}") in cluster.calls)
    before = len(cluster.calls)
    for _ in range(200):
        leaving.ask(NAME)
        assert not leaving.gone(NAME)
    assert len(cluster.calls) == before
    cluster.drop("pods", "pod")
    until(lambda: leaving.gone(NAME))
    asked = [call for call in cluster.calls if call[0] != "watch"]
    assert len(asked) <= 12, asked


def test_without_pods_the_rest_is_asked_for_ever_more_slowly(leaving, cluster, clock):
    assert not leaving.gone(NAME)  # nobody has asked it to go
    cluster.drop("pods", "pod")
    until(lambda: seen(leaving).listed and not seen(leaving).pods)
    before = len(cluster.calls)
    for tenth in range(100):
        clock.seconds = tenth / 10
        assert not leaving.gone(NAME)
    assert 5 <= len(cluster.calls) - before <= 8


def test_what_is_not_seen_for_a_while_is_not_gone(leaving, cluster):
    assert not leaving.gone(NAME)
    until(lambda: seen(leaving).listed)
    cluster.down = True
    cluster.end_watches()
    until(lambda: seen(leaving).away_since is not None)
    for plural in ("deployments", "services"):
        del cluster.objects[plural, NAME]
    assert not leaving.gone(NAME)
    cluster.down = False
    until(lambda: seen(leaving).away_since is None)
    cluster.drop("pods", "pod")
    until(lambda: leaving.gone(NAME))


def test_where_pods_may_not_be_watched_it_is_asked(leaving, cluster, clock):
    cluster.refuse["list", "pods"] = 403
    assert not leaving.gone(NAME)
    until(lambda: seen(leaving).refused is not None)
    cluster.refuse.clear()
    cluster.objects.clear()
    assert leaving.gone(NAME)


def test_a_deletion_that_was_not_heard_is_asked_for_again(leaving, cluster, clock):
    cluster.down = True
    leaving.ask(NAME)
    assert not leaving.gone(NAME)
    cluster.down = False
    clock.seconds = 2.0
    assert not leaving.gone(NAME)
    assert list(cluster.objects) == [("pods", "pod")]


def test_a_name_that_is_deployed_again_stays_and_is_followed_no_more(leaving):
    leaving.ask(NAME)
    assert not leaving.gone(NAME)
    threads = leaving._followed[NAME].watching._threads
    leaving.stays(NAME)
    assert not any(thread.is_alive() for thread in threads)
    assert not leaving.asked(NAME)
