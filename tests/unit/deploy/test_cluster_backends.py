"""The backends of a cluster, as far as they can be held without one."""

from __future__ import annotations

import importlib.util
import pickle
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tuner.deploy.backends import backend_for
from tuner.errors import BackendBroken, Cancelled, ConfigurationRefused, FailureClass
from tuner.spec.load import load_experiment
from tuner.trial.ports import Endpoint, Phase, TrialConfig

_spec = importlib.util.spec_from_file_location("cluster_fake", Path(__file__).with_name("cluster_fake.py"))
fake = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fake)

DEPLOY = {
    "ome": {"backend": "ome", "namespace": "trials", "runtime": "rt"},
    "kubernetes": {"backend": "kubernetes", "namespace": "trials", "image": "e:1"},
}
PLURAL = {"ome": "inferenceservices", "kubernetes": "deployments"}


@pytest.fixture(params=["ome", "kubernetes"])
def backend(request, tmp_path, monkeypatch):
    """One that talks to a fake API server."""
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    experiment = {
        "name": "bench",
        "model": {"name": "m"},
        "storage": {"type": "pvc", "pvc_name": "models", "mount_path": "/raid/m"},
        "deploy": DEPLOY[request.param],
        "parameters": {"slots": {"values": [1, 2], "flag": "--parallel"}},
        "workload": {"scenario": "D(8,8)", "concurrency": 1},
        "objective": {"maximize": "output_tokens_per_second"},
    }
    (tmp_path / "e.yaml").write_text(yaml.safe_dump(experiment))
    return backend_for(load_experiment(tmp_path / "e.yaml"))


def trial(number=1, *, attempt=1, **more):
    return TrialConfig(run="r", trial=number, phase=Phase.SEARCH, attempt=attempt, params={}, **more)


def deploy(backend, *, cancel=lambda: False, probe=lambda endpoint: None, lines=None, config=None):
    progress = (lines if lines is not None else []).append
    return backend.deploy(config or trial(), probe=probe, progress=progress, cancel=cancel)


def test_it_travels_by_pickle_with_what_was_settled_and_without_what_runs(backend):
    backend._up["x"] = threading.Lock()  # stands for what cannot travel
    again = pickle.loads(pickle.dumps(replace(backend, owner={"kind": "Lease"}, run="r")))
    assert (again.driver, again.owner, again.run) == (backend.driver, {"kind": "Lease"}, "r")
    assert again.wanted == backend.wanted
    assert again._up == {}
    assert not again.node_bound
    assert again.restricted_to((1,)) is again


def test_objects_carry_whose_they_are(backend):
    made = replace(backend, owner={"kind": "Lease", "uid": "u"})
    for manifest in made.kind.manifests(made._plan(trial())):
        labels = manifest["metadata"]["labels"]
        assert (labels["autotuner.io/task"], labels["autotuner.io/run"]) == ("bench", "r")
        assert labels["autotuner.io/experiment-id"] == "r-t0001-a1"
        assert labels["autotuner.io/driver"] == made.driver
        assert manifest["metadata"]["ownerReferences"] == [{"kind": "Lease", "uid": "u"}]
    assert "autotuner.io" not in made.serving(trial(), name="production").manifest


def test_alerts_and_production_selectors_can_leave_trials_out_and_production_is_not_among_them(backend):
    for manifest in backend.kind.manifests(backend._plan(trial())):
        assert manifest["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "autotuner"
    production = list(yaml.safe_load_all(backend.serving(trial(), name="production").manifest))
    assert not any("managed-by" in yaml.safe_dump(manifest) for manifest in production)
    for manifest in production:
        if manifest["kind"] == "Service":
            selected = manifest["spec"]["selector"].items()
            deployment = backend.kind.manifests(backend._plan(trial()))[0]
            assert not selected <= deployment["spec"]["template"]["metadata"]["labels"].items()


def test_a_server_that_refuses_the_object_condemns_or_stops(backend):
    plural = backend.kind.made[0].plural
    for status, how in ((422, ConfigurationRefused), (403, BackendBroken), (404, BackendBroken)):
        there = replace(backend, cluster=fake.FakeCluster())
        there.cluster.refuse["create", plural] = status
        with pytest.raises(how):
            deploy(there)
        assert there.released(trial().name)


def test_a_server_that_is_away_for_a_moment_is_waited_for(backend):
    cluster = fake.FakeCluster()
    there = replace(backend, cluster=cluster)
    cluster.down = True
    asked = []

    def cancel():
        asked.append(1)
        if len(asked) == 4:
            cluster.down = False
        return any(plural == backend.kind.made[0].plural for plural, _ in cluster.objects)

    with pytest.raises(Cancelled):
        deploy(there, cancel=cancel)
    assert there.released(trial().name)


def test_a_watch_that_is_forbidden_stops_the_run_before_anything_is_made(backend):
    cluster = fake.FakeCluster()
    cluster.refuse["list", "pods"] = 403
    with pytest.raises(BackendBroken):
        deploy(replace(backend, cluster=cluster))
    assert not [call for call in cluster.calls if call[0] == "create"]


def test_deleting_waits_for_no_server(backend):
    class Slow(fake.FakeCluster):
        def delete(self, resource, name, *, seconds=0.0):
            time.sleep(2)
            return super().delete(resource, name)

    begun = time.monotonic()
    replace(backend, cluster=Slow()).delete("x")
    assert time.monotonic() - begun < 1


def test_a_deletion_that_did_not_get_through_is_asked_for_again(backend):
    cluster = fake.FakeCluster()
    there = replace(backend, cluster=cluster)
    resource = there.kind.made[0]
    cluster.put(resource.plural, {"metadata": {"name": "x", "labels": {}}})
    cluster.down = True
    there.delete("x")
    assert not there.released("x")
    cluster.down = False
    deadline = time.monotonic() + 10
    while not there.released("x"):
        assert time.monotonic() < deadline
    assert not cluster.objects


def test_earlier_nodes_are_avoided_where_an_attempt_had_trouble(backend):
    cluster = fake.FakeCluster()
    there = replace(backend, cluster=cluster)

    def event(number, pod, reason, host):
        about = {"kind": "Pod", "name": pod}
        metadata = {"name": f"e{number}"}
        cluster.put(
            "events",
            {"metadata": metadata, "involvedObject": about, "reason": reason, "source": {"host": host}},
        )

    event(1, "r-t0001-a1-engine-x", "FailedMount", "node1")
    event(2, "r-t0001-a1-engine-x", "Unhealthy", "node2")
    event(3, "r-t0002-a1-engine-x", "FailedMount", "node3")
    event(4, "r-t0001-a10-engine-x", "FailedMount", "node4")
    calls = []

    def stop():
        calls.append(1)
        return bool([key for key in cluster.objects if key[0] == there.kind.made[0].plural])

    made = []
    put = cluster.put
    cluster.put = lambda plural, manifest: made.append(manifest) or put(plural, manifest)
    with pytest.raises(Cancelled):
        deploy(there, cancel=stop, config=trial(attempt=2))
    text = str(made[0])
    assert "node1" in text
    assert not any(node in text for node in ("node2", "node3", "node4"))


def test_what_may_not_be_looked_at_is_not_told(backend):
    cluster = fake.FakeCluster()
    cluster.refuse["list", "nodes"] = 403
    assert replace(backend, cluster=cluster).capacity() is None


@pytest.mark.parametrize(
    ("fault", "kind"), [(ConnectionRefusedError(), None), (TimeoutError("timed out"), "node_fault")]
)
def test_a_pod_that_is_said_to_serve_and_cannot_be_reached_is_its_nodes_fault(
    backend, monkeypatch, fault, kind
):
    from tuner.deploy.kubernetes import backend as module

    cluster, times = fake.FakeCluster(), iter(range(100))
    container = {"name": "engine", "ready": True, "restartCount": 0, "state": {"running": {}}}
    pod = {
        "metadata": {"name": "x-1", "uid": "p", "labels": {"autotuner.io/experiment-id": "x"}},
        "spec": {"containers": [{"name": "engine"}], "nodeName": "node1"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [container]},
    }
    there = replace(backend, cluster=cluster, now=lambda: float(next(times)), sleep=lambda seconds: None)
    there._up["x"] = module._Up(
        Endpoint(url="http://10.0.0.1:1", model="m", node="node1"), cluster.put("pods", pod), 0.0
    )
    monkeypatch.setattr(module, "connection_fault", lambda endpoint: fault)
    found = there.failure("x")
    assert (found and found.kind) == kind
    monkeypatch.setattr(module, "connection_fault", lambda endpoint: None)
    assert there.failure("x") is None


def serving(backend, monkeypatch, cluster, *, seconds=1.0):
    """One whose pod serves, under a clock of which each look takes some."""
    from tuner.deploy.kubernetes import backend as module

    container = {"name": "engine", "ready": True, "restartCount": 0, "state": {"running": {}}}
    pod = {
        "metadata": {"name": "x-1", "uid": "p", "labels": {"autotuner.io/experiment-id": "x"}},
        "spec": {"containers": [{"name": "engine"}], "nodeName": "node1"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [container]},
    }
    clock = iter(seconds * number for number in range(10_000))
    made = replace(backend, cluster=cluster, now=lambda: next(clock), sleep=lambda _: None)
    made._up["x"] = module._Up(Endpoint(url="http://10.0.0.1:1", model="m"), cluster.put("pods", pod), 0.0)
    monkeypatch.setattr(module, "connection_fault", lambda endpoint: None)
    return made


def test_an_api_server_that_is_gone_for_a_minute_costs_a_trial_that_serves_nothing(backend, monkeypatch):
    class Gone(fake.FakeCluster):
        left = 60

        def _called(self, *given):
            self.left -= 1
            self.down = self.left > 0
            super()._called(*given)

    cluster = Gone()
    assert serving(backend, monkeypatch, cluster).failure("x") is None
    assert cluster.left <= 0


def test_an_api_server_that_stays_away_interrupts_a_trial_and_condemns_nothing(backend, monkeypatch):
    cluster = fake.FakeCluster()
    there = serving(backend, monkeypatch, cluster, seconds=10.0)
    cluster.down = True
    found = there.failure("x")
    assert found.kind is FailureClass.NODE_FAULT
    assert "cannot be told" in found.message and "\n" not in found.message


def test_a_right_that_is_taken_away_is_not_waited_for_as_long_as_a_server(backend, monkeypatch):
    cluster = fake.FakeCluster()
    there = serving(backend, monkeypatch, cluster)
    cluster.refuse["list", "pods"] = cluster.refuse["get", "pods"] = 403
    assert there.failure("x").kind is FailureClass.NODE_FAULT
    assert len(cluster.calls) < 30


def test_whether_it_serves_is_asked_by_its_pods_name_and_all_pods_only_where_that_is_gone(
    backend, monkeypatch
):
    cluster = fake.FakeCluster()
    there = serving(backend, monkeypatch, cluster)
    assert there.failure("x") is None
    assert [call[:2] for call in cluster.calls] == [("get", "pods")]
    cluster.drop("pods", "x-1")
    cluster.put("pods", {"metadata": {"name": "x-2", "labels": {"autotuner.io/experiment-id": "x"}}})
    assert "in its place: x-2" in there.failure("x").message


def test_what_waits_for_accelerators_is_seen_without_asking_while_the_run_works(backend):
    cluster = fake.FakeCluster()
    with replace(backend, cluster=cluster).running("demo") as working:
        deadline = time.monotonic() + 5
        while not working._pending.seen.listed:
            assert time.monotonic() < deadline
        before = len(cluster.calls)
        assert [working.waiting("demo") for _ in range(20)] == [""] * 20
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "message": "0/2 nodes: Insufficient nvidia.com/gpu.",
        }
        pod = {
            "metadata": {
                "name": "x-1",
                "labels": {"autotuner.io/run": "demo", "autotuner.io/experiment-id": "x"},
            },
            "spec": {"containers": [{"name": "engine", "resources": {"limits": {"nvidia.com/gpu": "8"}}}]},
            "status": {"phase": "Pending", "conditions": [condition | {"reason": "Unschedulable"}]},
        }
        cluster.put("pods", pod)
        while not working.waiting("demo"):
            assert time.monotonic() < deadline
        assert not [call for call in cluster.calls[before:] if call[:2] == ("list", "pods")]
        assert working.waiting("demo").startswith("x waits for nvidia.com/gpu")
        cluster.drop("pods", "x-1")


def test_a_deployment_of_elsewhere_is_not_this_backends(backend):
    found = replace(backend, cluster=fake.FakeCluster()).failure("x")
    assert found.kind is FailureClass.NODE_FAULT
