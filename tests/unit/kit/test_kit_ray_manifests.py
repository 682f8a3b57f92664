"""The RayCluster and RayJob that ship: what KubeRay's definitions allow, and what the tuner needs of them."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import pytest
from definition_schema import faults, validator
from kit_files import KIT, documents

FILES = {"RayCluster": "raycluster.yaml", "RayJob": "rayjob.yaml"}


@pytest.fixture(scope="module", params=sorted(FILES))
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def checked(kind):
    folder = os.environ.get("KUBERAY_CRDS")
    if not folder:
        pytest.skip("KUBERAY_CRDS names no folder with KubeRay's definitions (ray.io_rayjobs.yaml.gz)")
    return validator(Path(folder) / f"ray.io_{kind.lower()}s.yaml.gz", "v1")


@pytest.fixture
def manifest(kind):
    (found,) = documents(KIT / "ray" / FILES[kind])
    assert found["kind"] == kind
    return found


def ray_spec(manifest):
    return manifest["spec"].get("rayClusterSpec", manifest["spec"])


def test_kuberay_s_definition_takes_the_manifest(checked, manifest):
    assert faults(checked, manifest) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("headGroupSpec", "serving_gpu"), "8"),
        (("headGroupSpec", "template", "spec", "containers", 0, "securityContex"), {}),
        (("workerGroupSpecs", 0, "template", "spec", "tolerations"), [{"keys": "a"}]),
        (("authOptions", "mode"), "tokens"),
        (("workerGroupSpecs", 0, "replicas"), "three"),
    ],
)
def test_a_field_that_kuberay_does_not_know_is_refused(checked, manifest, place, value):
    broken = copy.deepcopy(manifest)
    target = ray_spec(broken)
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    assert len(faults(checked, broken)) == 1


def test_the_head_counts_the_serving_accelerators_in_its_resources(manifest):
    head = ray_spec(manifest)["headGroupSpec"]
    assert float(head["resources"]["serving_gpu"]) >= 1
    assert "resources" not in head["rayStartParams"]  # the map is what KubeRay makes it of
    for group in ray_spec(manifest)["workerGroupSpecs"]:
        assert "serving_gpu" not in group["resources"]


def test_as_many_trials_at_once_as_accelerators_have_their_cpus(manifest):
    spec = ray_spec(manifest)
    head = {name: float(count) for name, count in spec["headGroupSpec"]["resources"].items()}
    at_once = int(head["serving_gpu"])
    workers = [float(g["resources"]["CPU"]) for g in spec["workerGroupSpecs"] for _ in range(g["replicas"])]
    # One benchmark actor a trial, in turn over head and workers; the trials' own actors are all on the head.
    shares = [len(range(place, at_once, 1 + len(workers))) for place in range(1 + len(workers))]
    assert shares[0] + 0.1 * at_once <= head["CPU"]
    assert all(share <= cpus for share, cpus in zip(shares[1:], workers, strict=True))


def test_the_pods_requests_cover_the_cpus_that_ray_is_told_of(manifest):
    spec = ray_spec(manifest)
    for group in [spec["headGroupSpec"], *spec["workerGroupSpecs"]]:
        (container,) = group["template"]["spec"]["containers"]
        assert float(container["resources"]["requests"]["cpu"]) >= float(group["resources"]["CPU"])


def test_the_run_directory_is_on_a_claim_that_ships(manifest):
    pod = ray_spec(manifest)["headGroupSpec"]["template"]["spec"]
    (claim,) = documents(KIT / "ray" / "run-directory.yaml")
    volumes = {each["name"]: each for each in pod["volumes"]}
    mounts = {each["mountPath"]: each["name"] for each in pod["containers"][0]["volumeMounts"]}
    mounted = volumes[mounts["/runs"]]["persistentVolumeClaim"]["claimName"]
    assert mounted == claim["metadata"]["name"]
    assert "--runs /runs" in (KIT / "ray" / "tune.sh").read_text()


def test_cluster_and_job_have_the_same_ray():
    (cluster,), (job,) = (documents(KIT / "ray" / name) for name in FILES.values())
    of_cluster, of_job = cluster["spec"], job["spec"]["rayClusterSpec"]
    for spec in (of_cluster, of_job):  # the job's experiment is there before it
        for volume in spec["headGroupSpec"]["template"]["spec"]["volumes"]:
            volume.get("configMap", {}).pop("optional", None)
    assert of_cluster == of_job


def test_the_ray_version_is_the_image_s(manifest):
    locked = (KIT / "image" / "requirements.txt").read_text()
    assert f"\nray=={ray_spec(manifest)['rayVersion']} " in locked
