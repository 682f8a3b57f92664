"""A Lease a run tells live drivers from dead ones: what those left is swept, what live ones have is not."""

from __future__ import annotations

import importlib.util
import pickle
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tuner.cli import main
from tuner.deploy.kubernetes import run_lease
from tuner.deploy.kubernetes.cleaning import clean
from tuner.deploy.kubernetes.driver import pid_space, this_driver
from tuner.deploy.kubernetes.presence import Presence
from tuner.deploy.kubernetes.resources import DEPLOYMENT, INFERENCE_SERVICE
from tuner.deploy.kubernetes.run_lease import Held, RunLease, leases, ray_cluster_owner
from tuner.errors import LeaseHeld, UserError

_spec = importlib.util.spec_from_file_location("cluster_fake", Path(__file__).with_name("cluster_fake.py"))
fake = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fake)

NOW = 1_800_000_000.0
OLD, YOUNG = "2026-01-01T00:00:00Z", "2027-01-15T07:59:30Z"  # NOW is 08:00:00


@pytest.fixture
def cluster():
    return fake.FakeCluster()


def trial(name, *, run, driver="other", created=OLD, controller=False):
    labels = {"autotuner.io/run": run, "autotuner.io/driver": driver, "autotuner.io/experiment-id": name}
    owners = [{"kind": "InferenceService", "controller": True}] if controller else []
    metadata = {"name": name, "labels": labels, "creationTimestamp": created, "ownerReferences": owners}
    return {"metadata": metadata}


def lease(run, *, renewed, holder="someone"):
    when = datetime.fromtimestamp(renewed, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "metadata": {"name": f"autotuner-{run}", "labels": {"autotuner.io/run": run}},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 60, "renewTime": when},
    }


def held(cluster, run="mine", *, driver="me", owned=True, environment=None):
    told = []
    presence = Presence(cluster, run, driver=driver, say=told.append, sleep=lambda s: None, now=lambda: NOW)
    return presence, presence.held(owned=owned, environment=environment or {}), told


def services(cluster):
    return sorted(name for plural, name in cluster.objects if plural == INFERENCE_SERVICE.plural)


def test_a_driver_is_told_from_every_other_and_fits_a_label():
    mine = this_driver()
    assert mine == this_driver()
    assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", mine)
    code = "from tuner.deploy.kubernetes.driver import this_driver as t; print(t())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() != mine


def test_a_lease_stands_while_the_run_works_and_goes_with_it(cluster):
    with RunLease(cluster, "mine", driver="me", say=print, now=lambda: NOW) as one:
        found = leases(cluster)["mine"]
        assert found == Held("mine", "me", NOW, 60.0, pid_space())
        assert found.alive(now=NOW + 60)
        assert not found.alive(now=NOW + 200)
        uid = cluster.objects["leases", "autotuner-mine"]["metadata"]["uid"]
        assert (one.owner["kind"], one.owner["uid"], one.owner["blockOwnerDeletion"]) == ("Lease", uid, False)
    assert leases(cluster) == {}


def test_it_is_renewed(cluster):
    times = iter(NOW + number for number in range(100))
    with RunLease(cluster, "mine", driver="me", say=print, now=lambda: next(times)) as one:
        before = leases(cluster)["mine"].renewed
        one.renew()
        assert leases(cluster)["mine"].renewed > before


def test_renewing_is_one_request_until_somebody_else_writes_the_lease(cluster):
    with RunLease(cluster, "mine", driver="me", say=print, now=lambda: NOW) as one:
        before = len(cluster.calls)
        one.renew()
        one.renew()
        assert [call[0] for call in cluster.calls[before:]] == ["replace", "replace"]
        noted = {**cluster.objects["leases", "autotuner-mine"]}
        noted["metadata"] = {**noted["metadata"], "annotations": {"somebody": "looked"}}
        cluster.put("leases", noted)
        before = len(cluster.calls)
        one.renew()
        assert [call[0] for call in cluster.calls[before:]] == ["replace", "get", "replace"]
        assert cluster.objects["leases", "autotuner-mine"]["metadata"]["annotations"] == {
            "somebody": "looked"
        }


def test_it_is_renewed_by_itself_and_a_lease_taken_away_is_told_once(cluster, monkeypatch):
    monkeypatch.setattr(run_lease, "RENEW_SECONDS", 0.01)
    told = []
    with RunLease(cluster, "mine", driver="me", say=told.append) as one:
        first = leases(cluster)["mine"].renewed
        while leases(cluster)["mine"].renewed == first:
            pass
        cluster.drop("leases", "autotuner-mine")
        one._thread.join(5)
        assert not one._thread.is_alive()
    assert len(told) == 1
    assert "autotuner-mine was taken away" in told[0]


def test_the_lease_of_a_driver_that_died_is_taken_over_with_the_same_owner(cluster):
    cluster.put("leases", lease("mine", renewed=NOW - 5, holder="dead"))
    uid = cluster.objects["leases", "autotuner-mine"]["metadata"]["uid"]
    with RunLease(cluster, "mine", driver="me", say=print) as one:
        assert leases(cluster)["mine"].holder == "me"
        assert one.owner["uid"] == uid


def test_starting_sweeps_this_runs_leftovers_and_dead_runs_and_nothing_else(cluster):
    cluster.put("leases", lease("alive", renewed=NOW - 70))
    cluster.put("leases", lease("dead", renewed=NOW - 100))
    for name, run, created in (
        ("mine-t0001", "mine", OLD),
        ("alive-t0001", "alive", OLD),
        ("dead-t0001", "dead", YOUNG),
        ("gone-t0001", "gone", OLD),
        ("new-t0001", "new", YOUNG),
    ):
        cluster.put(INFERENCE_SERVICE.plural, trial(name, run=run, created=created))
    cluster.put(DEPLOYMENT.plural, trial("gone-t0001-engine", run="gone", controller=True))
    _, context, told = held(cluster)
    with context:
        assert services(cluster) == ["alive-t0001", "new-t0001"]
        assert (DEPLOYMENT.plural, "gone-t0001-engine") in cluster.objects  # it goes with its owner
        assert sorted(leases(cluster)) == ["alive", "mine"]
    assert sorted(told) == [
        f"removed {name}, left behind by a driver that died"
        for name in ("dead-t0001", "gone-t0001", "mine-t0001")
    ]


def test_leaving_removes_all_of_the_run_and_waits_for_its_pods(cluster):
    presence, context, _ = held(cluster)
    with context:
        cluster.put(INFERENCE_SERVICE.plural, trial("mine-t0001", run="mine", driver="me"))
        cluster.put("pods", trial("mine-t0001-x", run="mine", driver="me"))
        waits = []

        def sleep(seconds):
            waits.append(seconds)
            if len(waits) == 3:
                cluster.drop("pods", "mine-t0001-x")

        presence._sleep = sleep
        presence.clear(seconds=30)
        assert services(cluster) == []
        assert len(waits) >= 3


def test_a_cluster_that_is_away_at_the_end_is_told_with_what_to_do(cluster):
    presence, context, told = held(cluster)
    with context:
        cluster.down = True
        presence.clear(seconds=30)
        cluster.down = False
    assert "tuner clean mine" in told[-1]


def test_in_kuberay_the_ray_cluster_owns_the_trials(cluster):
    cluster.put("rayclusters", {"metadata": {"name": "ray-1"}})
    inside = {"RAY_CLUSTER_NAME": "ray-1", "RAY_CLUSTER_NAMESPACE": "trials"}
    assert ray_cluster_owner(cluster, inside)["kind"] == "RayCluster"
    assert ray_cluster_owner(cluster, inside | {"RAY_CLUSTER_NAMESPACE": "elsewhere"}) is None
    cluster.refuse["get", "rayclusters"] = 403
    _, context, _ = held(cluster, environment=inside)
    with context as owner:
        assert owner["kind"] == "Lease"  # it may not be read
    _, context, _ = held(cluster, owned=False)
    with context as owner:
        assert owner is None


def test_clean_refuses_what_is_driven_unless_forced(cluster):
    cluster.put("leases", lease("busy", renewed=NOW - 10, holder="host-1-2"))
    cluster.put(INFERENCE_SERVICE.plural, trial("busy-t0001", run="busy"))
    told = []
    with pytest.raises(LeaseHeld, match="driven by host-1-2"):
        clean(cluster, run="busy", force=False, say=told.append, now=lambda: NOW)
    assert services(cluster) == ["busy-t0001"]
    assert clean(cluster, run="busy", force=True, say=told.append, now=lambda: NOW) == 2
    assert cluster.objects == {}


def test_clean_all_leaves_live_runs_alone_and_takes_the_dead(cluster):
    cluster.put("leases", lease("busy", renewed=NOW - 10))
    cluster.put("leases", lease("dead", renewed=NOW - 1000))
    for run in ("busy", "dead", "gone"):
        cluster.put(INFERENCE_SERVICE.plural, trial(f"{run}-t0001", run=run, created=YOUNG))
    told = []
    assert clean(cluster, run=None, force=False, say=told.append, now=lambda: NOW) == 3
    assert services(cluster) == ["busy-t0001"]
    assert any("left alone" in line for line in told)


def test_clean_finds_a_run_by_its_beginning_and_nothing_twice(cluster):
    cluster.put(INFERENCE_SERVICE.plural, trial("d4m2k1x7-t0001-a1", run="d4m2k1x7-llama"))
    assert clean(cluster, run="d4m2k1x7", force=False, say=print, now=lambda: NOW) == 1
    assert clean(cluster, run="d4m2k1x7", force=False, say=print, now=lambda: NOW) == 0


@pytest.mark.parametrize("given", ["d4", ""])
def test_clean_takes_nothing_where_several_runs_begin_so(cluster, given):
    """An unset variable in a script, `tuner clean "$RUN" --force`, is not all runs."""
    for run in ("d4m2k1x7-llama", "d4m2k1x8-llama"):
        cluster.put(INFERENCE_SERVICE.plural, trial(f"{run}-t0001", run=run))
    with pytest.raises(UserError, match=r"d4m2k1x7-llama, d4m2k1x8-llama begin so; would be right: more"):
        clean(cluster, run=given, force=True, say=print, now=lambda: NOW)
    assert len(services(cluster)) == 2


def test_clean_takes_the_run_of_a_name_though_another_begins_with_it(cluster):
    for run in ("one", "one-more"):
        cluster.put(INFERENCE_SERVICE.plural, trial(f"{run}-t0001", run=run))
    assert clean(cluster, run="one", force=False, say=print, now=lambda: NOW) == 1
    assert services(cluster) == ["one-more-t0001"]


def test_the_command_takes_no_empty_name_for_the_newest_run(capsys):
    assert main(["clean", "", "--force"]) == 2
    assert (
        capsys.readouterr().err == "error: run: got an empty name; would be right: a run's name, or --all\n"
    )


def test_the_client_is_pickled_by_its_address(tmp_path, monkeypatch):
    from tuner.deploy.kubernetes.client import Access, Cluster

    cluster = Cluster("trials", access=Access("/x/kubeconfig", "prod", "default"))
    again = pickle.loads(pickle.dumps(cluster))
    assert (again.namespace, again.access) == (cluster.namespace, cluster.access)


def killed():
    """The driver that another process was, which has ended."""
    code = "from tuner.deploy.kubernetes.driver import this_driver as t; print(t())"
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_a_driver_that_was_killed_on_this_machine_is_dead_at_once():
    fresh = {"renewed": NOW, "duration_seconds": 60}
    assert not Held("r", killed(), **fresh, pid_space=pid_space()).alive(now=NOW)
    assert Held("r", this_driver(), **fresh, pid_space=pid_space()).alive(now=NOW)


def test_a_driver_whose_processes_cannot_be_seen_from_here_lives_until_its_lease_expires():
    elsewhere = Held("r", killed(), NOW, 60, pid_space="another machine's")
    assert elsewhere.alive(now=NOW)
    assert not elsewhere.alive(now=NOW + 3600)


def test_a_pid_that_another_process_has_now_is_not_the_driver():
    reused = re.sub(r"\d+$", "123456789", this_driver())
    assert not Held("r", reused, NOW, 60, pid_space=pid_space()).alive(now=NOW)


def test_the_lease_says_where_its_holders_pid_means_something(cluster):
    _, context, _ = held(cluster)
    with context:
        assert leases(cluster)["mine"].pid_space == pid_space() != ""
