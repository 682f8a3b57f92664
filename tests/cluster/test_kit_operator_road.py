"""The operator's page is walked on a real cluster, command by command, to the first tuned model."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import definitions
import objects
import pytest
import search_site
from admission_parts import account_kubeconfig
from kit_files import KIT, crds, documents, rendered
from kit_road import PLACE, SMALLER, Desk, laid_out, run_directory
from kubernetes import client
from operator_page import commands

pytestmark = pytest.mark.cluster

NAMESPACES = {"autotuner", "autotuner-system"}
RUNTIME, MODEL = "sglang-llama-small", "llama-3-2-1b-instruct"
ELSEWHERE = (  # where these are run, and why not here
    "podman ",  # nowhere: there is no builder; the Containerfile's parts are, by tests/unit/kit
    "kubectl logs -n autotuner job/tune",  # KubeRay makes that Job; what is in it: test_kit_ray_pods
    "-k cluster/overlays/",  # the one that is taken here, all of them by test_kit_applied
    "webhook certs",  # below
    "pv-nfs",  # test_kit_applied
    "pv-csi",
)
OF_A_RUN = (
    "tuner status",
    "tuner trials",
    "runs/<run>",
    "python -m tuner.search",
    "kubectl cp",
    "kubectl exec",
)


@pytest.fixture
def desk(
    tmp_path: Path, admin_kubeconfig: Path, nodes: list[str], models: Path, engine_parts: Any
) -> Iterator[Desk]:
    """What is to be written into the files is written; the claim's volume has a model in it."""
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl here")
    with tempfile.TemporaryDirectory(prefix="claim-") as folder:
        Path(folder).chmod(0o755)
        shutil.copytree(models / PLACE, Path(folder) / PLACE)
        (Path(folder) / PLACE / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
        laid_out(tmp_path, models=Path(folder), node=nodes[0], parts=engine_parts)
        lab = search_site.whole_runs.Lab(tmp_path)
        try:
            yield Desk(tmp_path, admin_kubeconfig, lab)
        finally:
            lab.close()


@pytest.fixture
def empty(
    admin_api: client.ApiClient,
    ome: Any,
    apply: Callable[..., Any],
    remove: Callable[..., Any],
    until: Callable[..., Any],
    engine_parts: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    """A cluster with OME, a runtime and KubeRay's kinds; all that was applied goes in the end."""
    folder = os.environ.get("KUBERAY_CRDS")
    if folder:
        definitions.install_definitions(admin_api, crds(folder))
    runs = tmp_path_factory.mktemp("runs")
    runs.chmod(0o777)
    runtime, of_runs = search_site.runtime_object(RUNTIME, engine_parts), run_directory(runs)
    apply([runtime, *of_runs])
    yield
    model = runtime | {"kind": "ClusterBaseModel", "metadata": {"name": MODEL}}
    volumes = [*documents(KIT / "model" / "pv-hostpath.yaml"), *of_runs]
    for manifest in [*rendered(KIT / "overlays" / "webhook"), runtime, model, *volumes]:
        if "AdmissionPolicy" not in manifest["kind"]:  # they stay, other tests use them
            remove(manifest)
    core = client.CoreV1Api(admin_api)
    until(
        lambda: not {each.metadata.name for each in core.list_namespace().items} & NAMESPACES,
        seconds=120,
        what="the namespaces are gone",
    )


def walked(command: str) -> bool:
    """Whether it belongs to the walk: with the policy's way of mounting, without KubeRay's operator."""
    return not any(word in command for word in ELSEWHERE) and (
        "rayjob" not in command or bool(os.environ.get("KUBERAY_CRDS"))
    )


def test_the_page_can_be_walked_as_it_is_written(desk, empty, admin_api, until):
    known = client.AdmissionregistrationV1Api(admin_api).get_api_resources().resources
    way = "policy" if "mutatingadmissionpolicies" in {each.name for each in known} else "policy-v1beta1"
    todo = [command for command in commands() if walked(command)]
    assert len(todo) >= 20
    desk.run(f"kubectl apply -k cluster/overlays/{way}")
    core = client.CoreV1Api(admin_api)

    def bound() -> bool:
        claim = core.read_namespaced_persistent_volume_claim("model-storage-pvc", "autotuner")
        return claim.status.phase == "Bound"

    for command in todo:
        if any(word in command for word in OF_A_RUN):
            continue
        if command == "tuner check my-model.yaml":
            until(bound, seconds=30, what="the claim is bound")
        if command.startswith("kubectl logs"):
            until(lambda it=command: desk.ended(it).returncode == 0, seconds=60, what="it has a log")
        desk.run(command)
    accounts = account_kubeconfig(admin_api, "autotuner", "autotuner", desk.folder)
    checked = desk.ended("tuner check my-model.yaml", accounts)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    warnings = [line for line in checked.stdout.splitlines() if not line.startswith("ok ")]
    # The volume of the page's third example is one node's, and the test's cluster has two.
    assert [
        line for line in warnings if "1 of the 2 nodes that trials may use do not reach it" not in line
    ] == []
    assert f"autotuner.io/mount={way.removesuffix('-v1beta1')}" in desk.run(
        "kubectl get namespace autotuner --show-labels"
    )
    made = desk.run("kubectl get job,pod,pvc,configmap,role,rolebinding -n autotuner -o name")
    for name in ("job.batch/fill-model", "pod/runs", "claim/tuner-runs"):
        assert name in made
    assert re.search(r"role\S*/autotuner-secrets", made)
    the_run_that_it_comes_to(desk, [c for c in todo if any(word in c for word in OF_A_RUN)], until, core)


def the_run_that_it_comes_to(desk: Desk, todo: list[str], until: Callable[..., Any], core: Any) -> None:
    """The search from a machine, what looks at it, and the winner applied."""
    (search,) = (command for command in todo if command.startswith("python -m tuner.search"))
    desk.run(" ".join([search, *(f"--set '{each}'" for each in SMALLER), "--plain"]), seconds=400)
    (run,) = (path for path in (desk.folder / "runs").iterdir() if path.is_dir())
    until(
        lambda: core.read_namespaced_pod("runs", "autotuner").status.phase == "Running",
        seconds=60,
        what="the pod that shows runs",
    )
    desk.run(f"kubectl cp -n autotuner {run} runs:/runs/{run.name}")  # as a search in the cluster leaves it
    for command in todo:
        if command == search:
            continue
        said = desk.run(command.replace("<run>", run.name))
        if "status" in command:
            assert run.name in said
    (served,) = objects.manifests(run / "best.yaml")
    made = desk.run("kubectl get inferenceservices -n autotuner -o name")
    assert made.split() == [f"inferenceservice.ome.io/{served['metadata']['name']}"]
    desk.run(f"kubectl delete -n autotuner {made.strip()}")


def test_the_webhook_s_overlay_takes_the_certificate_that_the_page_makes(desk, empty, admin_api):
    of_webhook = [command for command in commands() if "webhook" in command and "kubectl get" not in command]
    assert of_webhook[:2] == ["kubectl apply -k cluster/overlays/webhook", "tuner webhook certs --apply"]
    for command in of_webhook[:2]:
        desk.run(command)
    admission = client.AdmissionregistrationV1Api(admin_api)
    (webhook,) = admission.read_mutating_webhook_configuration("ome-pvc-mount").webhooks
    trusted = webhook.client_config.ca_bundle
    assert trusted
    desk.run(of_webhook[0])  # an overlay applied again leaves the certificate alone
    (webhook,) = admission.read_mutating_webhook_configuration("ome-pvc-mount").webhooks
    assert webhook.client_config.ca_bundle == trusted
    assert "ome-pvc-mount-" in desk.run("kubectl get pods -n autotuner-system")
