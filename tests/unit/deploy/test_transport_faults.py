"""Faults between tuner and API server: what is waited for and how long, and what uses up no deadline."""

from __future__ import annotations

import importlib.util
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tuner.deploy.kubernetes.api_errors import (
    AWAY_SECONDS,
    UNKNOWN_SECONDS,
    ApiRefused,
    Unreachable,
    patience_seconds,
    refusal,
)
from tuner.deploy.kubernetes.blindness import Blindness
from tuner.deploy.kubernetes.classify import Course
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.outcomes import Deadlines, Waiting
from tuner.deploy.kubernetes.resources import LEASE, POD
from tuner.deploy.kubernetes.run_lease import RunLease, leases
from tuner.deploy.kubernetes.watching import Seen
from tuner.errors import BackendBroken, ConfigurationRefused, DeployInterrupted, FailureClass, WorldError

_spec = importlib.util.spec_from_file_location("cluster_fake", Path(__file__).with_name("cluster_fake.py"))
fake = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fake)


# -- a token that expires --------------------------------------------------------------------------


@pytest.fixture
def knowing(tmp_path, monkeypatch):
    """`knowing(token)` makes the server know that one; `write(token)` is the kubeconfig's."""
    known, asked = ["first"], []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers["Authorization"])
            good = self.headers["Authorization"] == f"Bearer {known[0]}"
            body = (
                {"items": [], "metadata": {"resourceVersion": "1"}} if good else {"message": "Unauthorized"}
            )
            text = json.dumps(body).encode()
            self.send_response(200 if good else 401)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def write(token):
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "trials"}}],
            "current-context": "c",
        }
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(content))

    write("first")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    yield known, write, asked
    server.shutdown()
    server.server_close()


def test_a_token_that_was_renewed_on_disk_is_read_anew_when_the_old_one_has_expired(knowing):
    known, write, asked = knowing
    cluster = Cluster()
    assert cluster.list(POD)["items"] == []
    known[0] = "second"
    write("second")
    assert cluster.list(POD)["items"] == []
    assert asked == ["Bearer first", "Bearer first", "Bearer second"]


def test_a_token_that_nobody_renews_is_one_line_with_what_would_be_right(knowing):
    known, _, _ = knowing
    cluster = Cluster()
    known[0] = "second"
    with pytest.raises(
        ApiRefused, match=r"HTTP 401.*would be right: credentials that the cluster knows"
    ) as seen:
        cluster.list(POD)
    assert "first" not in str(seen.value) and "\n" not in str(seen.value)


# -- how long what is asked again ------------------------------------------------------------------


def test_a_server_that_is_away_is_waited_for_longest_and_a_refusal_not_at_all():
    away = Unreachable("https://x", "refused")
    busy, unknown, forbidden = (
        refusal("GET", "/x", status, b'{"message": "no"}') for status in (503, 401, 403)
    )
    assert patience_seconds(away) == patience_seconds(busy) == AWAY_SECONDS > 60
    assert patience_seconds(unknown) == UNKNOWN_SECONDS
    assert patience_seconds(forbidden) == 0


def test_in_a_namespace_that_is_being_deleted_no_role_is_advised():
    said = (
        'deployments.apps "t" is forbidden: unable to create new content in namespace trials because it is '
        "being terminated"
    )
    found = str(refusal("POST", "/x", 403, json.dumps({"message": said}).encode()))
    assert found.endswith("would be right: a namespace that stays")
    assert "Role" not in found


# -- what was not seen uses up no deadline ---------------------------------------------------------


def course(*, service=False):
    return Course(
        service=service,
        container="engine",
        deadlines=Deadlines(schedule_seconds=40, image_seconds=50, ready_seconds=30),
        created=0.0,
        log=lambda pod, container, previous: "",
    )


def running(**more):
    state = {"name": "engine", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}, "restartCount": 0}
    pod = {
        "metadata": {"name": "t-1", "uid": "p"},
        "spec": {"containers": [{"name": "engine"}], "nodeName": "node1"},
        "status": {"phase": "Running", "containerStatuses": [state]},
    }
    return seen(pod, **more)


def seen(*pods, **more):
    return Seen(pods=pods, deployments=({"metadata": {"name": "t", "uid": "d"}},), listed=True, **more)


AWAY = {"away_since": 10.0, "away_why": "Kubernetes API server https://x does not answer: refused"}


def test_an_engine_is_not_condemned_for_the_time_in_which_it_could_not_be_seen():
    looked = course()
    assert isinstance(looked.look(running(), now=5), Waiting)
    for now in (11, 40, 69):
        found = looked.look(running(**AWAY), now=now)
        assert (type(found), "does not answer" in found.what) == (Waiting, True)
    assert isinstance(looked.look(running(), now=70), Waiting)  # 65 s after its start, 60 of them blind
    found = looked.look(running(), now=70 + 60 + 30)
    assert (type(found), found.failure.kind) == (ConfigurationRefused, FailureClass.NEVER_READY)


def test_waiting_for_a_node_and_the_silence_of_ome_are_not_counted_either():
    looked = course()
    looked.look(seen(), now=5)
    looked.look(seen(**AWAY), now=11)
    assert isinstance(looked.look(seen(), now=70), Waiting)
    assert isinstance(looked.look(seen(), now=175), DeployInterrupted)
    silent = {"metadata": {"name": "t", "uid": "i", "finalizers": ["f"]}}
    ome = course(service=True)
    ome.look(Seen(service=silent, listed=True), now=5)
    ome.look(Seen(service=silent, listed=True, **AWAY), now=11)
    assert isinstance(ome.look(Seen(service=silent, listed=True), now=70), Waiting)


def test_a_server_that_does_not_come_back_stops_the_run_and_condemns_nothing():
    looked = course()
    looked.look(running(**AWAY), now=11)
    found = looked.look(running(**AWAY), now=11 + AWAY_SECONDS)
    assert (type(found), found.failure.kind) == (BackendBroken, FailureClass.BACKEND_BROKEN)
    expired = {**AWAY, "patience_seconds": UNKNOWN_SECONDS}
    assert isinstance(looked.look(running(**expired), now=11 + UNKNOWN_SECONDS), BackendBroken)


def test_several_absences_add_up_from_the_moment_that_is_asked_about():
    blind = Blindness()
    for away, now in ((None, 0), (10, 11), (10, 14), (None, 15), (100, 101), (None, 300)):
        blind.look(away, now=now)
    assert blind.seconds(0) == 10 + 260  # as much again afterwards, a minute at most
    assert blind.seconds(17) == 3 + 260
    assert blind.seconds(200) == 160
    assert blind.seconds(400) == 0


# -- conflicts -------------------------------------------------------------------------------------


class Contested(fake.FakeCluster):
    """Somebody else changes the Lease between reading and writing it, so many times."""

    def __init__(self, times):
        super().__init__()
        self.times = times

    def replace(self, resource, manifest):
        if resource is LEASE and self.times:
            self.times -= 1
            raise fake.refused(409, "Conflict")
        return super().replace(resource, manifest)


def test_a_lease_that_changes_while_it_is_taken_is_taken_at_the_next_try():
    cluster = Contested(2)
    cluster.put("leases", {"metadata": {"name": "autotuner-mine", "labels": {}}, "spec": {}})
    with RunLease(cluster, "mine", driver="me", say=print):
        assert leases(cluster)["mine"].holder == "me"


def test_a_lease_that_changes_all_the_time_is_one_line():
    cluster = Contested(9)
    cluster.put("leases", {"metadata": {"name": "autotuner-mine", "labels": {}}, "spec": {}})
    with (
        pytest.raises(WorldError, match="changes all the time"),
        RunLease(cluster, "mine", driver="me", say=print),
    ):
        pass


def test_a_lease_that_changes_while_it_is_renewed_is_kept(monkeypatch):
    monkeypatch.setattr("tuner.deploy.kubernetes.run_lease.RENEW_SECONDS", 0.01)
    cluster, told = Contested(0), []
    with RunLease(cluster, "mine", driver="me", say=told.append):
        first = leases(cluster)["mine"].renewed
        cluster.times = 3
        while leases(cluster)["mine"].renewed == first or cluster.times:
            pass
    assert told == []
