"""What a live pod of a search mounts, in every way of mounting; and what is said where nothing mounts."""

from __future__ import annotations

import time
from pathlib import Path

import admission_parts
import mount_webhook
import pytest
import search_site
from kubernetes import client

from tuner.webhook.certs_files import write_certificates

pytestmark = pytest.mark.cluster

HERE = Path(__file__).parent
ONE_TRIAL = {
    "parameters": {"slots": {"values": [16, 24], "flag": "--parallel"}},
    "baseline": {"slots": 16},
    "slo": None,
    "search": {"trials": 1, "parallel": 1},
    "validation": {"enabled": False},
    "workload": {"rounds": 1, "round_seconds": 1},
}


def live_pod(place, until):
    """The first trial's pod, once it is placed, and the run's end."""
    started = place.start(place.experiment(**ONE_TRIAL))

    def placed():
        assert started.process.poll() is None, f"{started.out}\n{started.err}"
        return [pod for pod in place.pods("autotuner.io/run") if pod.spec.node_name]

    pods = until(placed, seconds=90, what="the first trial's pod")
    ended = started.wait(200)
    assert ended.code in (0, 3), f"{ended.out}\n{ended.err}"  # 3: a busy machine, no round to be trusted
    return pods[0], ended


def assert_mounted(pod, place):
    engine = next(c for c in pod.spec.containers if c.name == "ome-container")
    volumes = {v.name: v.persistent_volume_claim for v in pod.spec.volumes}
    (mount,) = [m for m in engine.volume_mounts if m.mount_path == search_site.MOUNT_PATH]
    claim = volumes[mount.name]
    assert (claim.claim_name, claim.read_only) == (place.namespace.claim, True)
    assert (mount.read_only, mount.sub_path) == (True, place.namespace.subpath)
    (path,) = [e.value for e in engine.env if e.name == "MODEL_PATH"]
    assert path == search_site.MOUNT_PATH


def selector_keys(pod):
    return [key for key in pod.spec.node_selector or {} if key.startswith("models.ome.io/")]


def test_the_policy_mounts_the_claim(mount_admission, new_site, until):
    with new_site("policy") as place:
        pod, ended = live_pod(place, until)
        assert_mounted(pod, place)
        assert selector_keys(pod) == []
        assert "policy" in ended.out


def test_the_webhook_mounts_the_claim(mount_admission, new_site, until, admin_api, tmp_path):
    write_certificates(tmp_path, admission_parts.certificates())
    with (
        new_site("webhook") as place,
        mount_webhook.served(tmp_path) as (server, _),
        admission_parts.configured(
            admission_parts.Pods(admin_api, place.namespace.name), tmp_path, port=server.port
        ),
    ):
        pod, ended = live_pod(place, until)
        assert_mounted(pod, place)
        assert selector_keys(pod) == []
        assert "webhook" in ended.out


def test_inline_mounts_the_claim_where_admission_only_drops_the_selector(mount_admission, new_site, until):
    with new_site("policy", storage_path=None) as place:
        ONE_TRIAL["storage"] = {"mount": "inline"}
        try:
            pod, ended = live_pod(place, until)
        finally:
            del ONE_TRIAL["storage"]
        assert_mounted(pod, place)
        assert selector_keys(pod) == []
        assert "inline" in ended.out


def test_inline_without_any_admission_runs_on_nodes_that_carry_the_models_label(
    new_site, until, admin_api, nodes
):
    with new_site(None, storage_path=None) as place:
        label = f"models.ome.io/clusterbasemodel.{place.model}"
        core = client.CoreV1Api(admin_api)
        for node in nodes:
            core.patch_node(node, {"metadata": {"labels": {label: "Ready"}}})
        ONE_TRIAL["storage"] = {"mount": "inline"}
        try:
            pod, _ = live_pod(place, until)
        finally:
            del ONE_TRIAL["storage"]
            for node in nodes:
                core.patch_node(node, {"metadata": {"labels": {label: None}}})
        assert_mounted(pod, place)
        assert not any(key.startswith("ome.io/pvc-") for key in pod.metadata.annotations)


def test_with_nothing_that_mounts_the_search_says_so_before_it_deploys(mount_admission, new_site):
    with new_site("none") as place:
        ended = place.run(place.experiment(**ONE_TRIAL, storage={"mount": "policy"}), seconds=60)
        assert ended.code in (1, 2)
        assert len(ended.error_lines) == 1 and "autotuner.io/mount=policy" in ended.err
        assert place.labelled() == []


def test_with_nothing_that_mounts_the_guard_refuses_the_pod_and_the_run_ends_within_5_s(
    mount_admission, new_site, until
):
    with new_site("none") as place:
        started = place.start(place.experiment(**ONE_TRIAL, storage={"mount": "external"}))
        until(lambda: _refused(place), seconds=90, what="the first trial's pod is refused")
        refused = time.monotonic()
        until(lambda: "the pod was refused" in started.out + started.err, seconds=5, what="the run says so")
        assert time.monotonic() - refused < 5
        ended = started.wait(60)
        assert ended.code == 1
        assert "ome-pvc-mount" in ended.err and len(ended.error_lines) == 1
        assert place.labelled() == []


def _refused(place):
    deployments = client.AppsV1Api(place.api).list_namespaced_deployment(place.namespace.name).items
    return any(c.type == "ReplicaFailure" for d in deployments for c in d.status.conditions or [])
