"""Every pod that cluster/ makes has the rights that it needs and no others, and what it runs is pinned."""

from __future__ import annotations

import re

import pytest
from kit_files import KIT, ROOT, documents, manifest_files, pods

PODS = {pod.name: pod for pod in pods()}
OWN_IMAGE = "ray-serving-tuner:0.1.0"
ASK_THE_API_SERVER = {  # and nobody else has a token
    "admission/webhook/webhook.yaml CronJob": "ome-pvc-mount-certs",
    "ray/raycluster.yaml RayCluster head": "autotuner",
    "ray/rayjob.yaml RayJob head": "autotuner",
}


@pytest.fixture(params=sorted(PODS))
def pod(request):
    return PODS[request.param]


def test_they_are_all_found():
    assert len(PODS) == 11
    assert set(ASK_THE_API_SERVER) <= set(PODS)


def test_a_pod_is_what_the_restricted_standard_asks_for(pod):
    whole = pod.spec["securityContext"]
    assert whole["runAsNonRoot"] is True and whole["runAsUser"] > 0
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod.spec)
    assert not any("hostPath" in volume for volume in pod.spec.get("volumes", []))
    for container in pod.containers:
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False and "privileged" not in own
        assert own["capabilities"] == {"drop": ["ALL"]}


def test_a_pod_s_root_filesystem_is_read_only_and_what_it_writes_is_bounded(pod):
    for container in pod.containers:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
    for volume in pod.spec.get("volumes", []):
        assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"]


def test_only_who_asks_the_api_server_has_a_token(pod):
    if pod.name in ASK_THE_API_SERVER:
        assert pod.spec["serviceAccountName"] == ASK_THE_API_SERVER[pod.name]
    else:
        assert pod.spec["automountServiceAccountToken"] is False


def test_a_pod_asks_for_cpu_and_memory(pod):
    for container in pod.containers:
        assert set(container["resources"]["requests"]) >= {"cpu", "memory"}
        unlimited = pod.name == "model/warm-up.yaml Job"  # the page cache is what it is for
        assert ("memory" in container["resources"].get("limits", {})) is not unlimited


def test_an_image_is_the_project_s_own_or_named_by_its_digest(pod):
    for container in pod.containers:
        assert container["image"] == OWN_IMAGE or re.search(r"@sha256:[0-9a-f]{64}$", container["image"])


def test_the_image_s_tag_is_the_project_s_version():
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert f"ray-serving-tuner:{version}" == OWN_IMAGE


def test_no_secret_s_content_ships():
    kinds = {manifest["kind"] for path in manifest_files() for manifest in documents(path)}
    assert "Secret" not in kinds
    for pod in PODS.values():
        for container in pod.containers:
            for variable in container.get("env", []):
                if re.search(r"TOKEN$|PASSWORD$|KEY$", variable["name"]):
                    assert set(variable["valueFrom"]) == {"secretKeyRef"}


def test_every_example_of_a_volume_makes_the_claim_that_the_jobs_and_experiments_name():
    files = sorted((KIT / "model").glob("pv-*.yaml"))
    assert [path.stem for path in files] == ["pv-csi", "pv-hostpath", "pv-nfs"]
    named = {
        volume["persistentVolumeClaim"]["claimName"]
        for name in ("model/fill.yaml Job", "model/warm-up.yaml Job")
        for volume in PODS[name].spec["volumes"]
        if "persistentVolumeClaim" in volume
    }
    experiments = "".join(path.read_text() for path in (ROOT / "search_spaces").glob("*_pvc.yaml"))
    named |= set(re.findall(r"pvc_name: (\S+)", experiments))
    for path in files:
        volume, claim = documents(path)
        assert {claim["metadata"]["name"]} == named
        assert volume["spec"]["claimRef"] == claim["metadata"]
        assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
        assert volume["spec"]["accessModes"] == claim["spec"]["accessModes"]
        assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"


def test_trials_give_way_to_everything_else_and_push_nobody_out():
    (found,) = documents(KIT / "base" / "priority-class.yaml")
    assert -10 <= found["value"] < 0
    assert found["preemptionPolicy"] == "Never" and found["globalDefault"] is False
