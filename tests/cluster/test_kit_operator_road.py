"""The operator's page is walked on a real cluster, command by command, up to the search that it starts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import definitions
import pytest
from admission_parts import account_kubeconfig
from kit_files import KIT, crds, documents, rendered
from kubernetes import client
from operator_page import commands, experiment

pytestmark = pytest.mark.cluster

FORMAT = {
    "modelFormat": {"name": "safetensors", "version": "1.0.0"},
    "modelFramework": {"name": "transformers", "version": "4.36.0"},
}
RUNNER = {"name": "ome-container", "image": "engine", "command": ["/engine", "--model", "$(MODEL_PATH)"]}
RUNTIME = {
    "apiVersion": "ome.io/v1beta1",
    "kind": "ClusterServingRuntime",
    "metadata": {"name": "sglang-llama-small"},
    "spec": {"supportedModelFormats": [FORMAT], "engineConfig": {"runner": RUNNER}},
}
NAMESPACES = {"autotuner", "autotuner-system"}
OF_IMAGES = ("podman ", "kubectl exec ", "kubectl cp ", "kubectl logs ")  # the image's own programs
OTHER_WAYS = ("-k cluster/overlays/", "webhook certs", "pv-nfs", "pv-csi")
OF_A_RUN = ("tuner status", "tuner trials", "runs/<run>", "python -m tuner.search")


@dataclass
class Desk:
    """Where an operator works: a copy of cluster/, the experiment, kubectl and tuner."""

    folder: Path
    kubeconfig: Path

    def run(self, command: str) -> str:
        """What it prints; it has to succeed."""
        ended = self.ended(command)
        assert ended.returncode == 0, (command, ended.stdout[-2000:], ended.stderr[-2000:])
        return ended.stdout

    def ended(self, command: str, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.folder,
            env=os.environ | {"PATH": path, "KUBECONFIG": str(kubeconfig or self.kubeconfig)},
            capture_output=True,
            check=False,
            text=True,
            timeout=120,
        )


@pytest.fixture
def desk(
    tmp_path: Path, admin_kubeconfig: Path, nodes: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Desk:
    """What is to be written into the files is written."""
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl here")
    shutil.copytree(KIT, tmp_path / "cluster", symlinks=True)
    models = tmp_path_factory.mktemp("models")
    folder = models / "meta" / "llama-3-2-1b-instruct"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    volume = tmp_path / "cluster" / "model" / "pv-hostpath.yaml"
    written = volume.read_text().replace("path: /srv/models", f"path: {models}")
    volume.write_text(written.replace("values: [node1]", f"values: [{nodes[0]}]"))
    (tmp_path / "my-model.yaml").write_text(experiment())
    (tmp_path / "TOKENFILE").write_text("token")
    return Desk(tmp_path, admin_kubeconfig)


@pytest.fixture
def empty(
    admin_api: client.ApiClient,
    ome_definitions: None,
    apply: Callable[..., Any],
    remove: Callable[..., Any],
    until: Callable[..., Any],
) -> Iterator[None]:
    """A cluster with OME's kinds, a runtime and KubeRay's kinds; all that was applied goes in the end."""
    folder = os.environ.get("KUBERAY_CRDS")
    if folder:
        definitions.install_definitions(admin_api, crds(folder))
    apply(RUNTIME)
    yield
    model = RUNTIME | {"kind": "ClusterBaseModel", "metadata": {"name": "llama-3-2-1b-instruct"}}
    volumes = documents(KIT / "model" / "pv-hostpath.yaml")
    for manifest in [*rendered(KIT / "overlays" / "webhook"), RUNTIME, model, *volumes]:
        if "AdmissionPolicy" not in manifest["kind"]:  # they stay, other tests use them
            remove(manifest)
    core = client.CoreV1Api(admin_api)
    until(
        lambda: not {each.metadata.name for each in core.list_namespace().items} & NAMESPACES,
        seconds=120,
        what="the namespaces are gone",
    )


def walked(command: str) -> bool:
    """Whether the walk can do it: with the policy's way of mounting, without an image, before any run."""
    return not (
        command.startswith(OF_IMAGES)
        or any(word in command for word in OTHER_WAYS)
        or any(word in command for word in OF_A_RUN)
        or ("rayjob" in command and not os.environ.get("KUBERAY_CRDS"))
    )


def test_the_page_can_be_walked_as_it_is_written(desk, empty, admin_api, until):
    known = client.AdmissionregistrationV1Api(admin_api).get_api_resources().resources
    way = "policy" if "mutatingadmissionpolicies" in {each.name for each in known} else "policy-v1beta1"
    todo = [command for command in commands() if walked(command)]
    assert len(todo) >= 20
    desk.run(f"kubectl apply -k cluster/overlays/{way}")
    core = client.CoreV1Api(admin_api)
    for command in todo:
        if command == "tuner check my-model.yaml":
            until(
                lambda: (
                    core.read_namespaced_persistent_volume_claim(
                        "model-storage-pvc", "autotuner"
                    ).status.phase
                    == "Bound"
                ),
                seconds=30,
                what="the claim is bound",
            )
        desk.run(command)
    accounts = account_kubeconfig(admin_api, "autotuner", "autotuner", desk.folder)
    checked = desk.ended("tuner check my-model.yaml", accounts)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    warnings = [line for line in checked.stdout.splitlines() if not line.startswith("ok ")]
    # The volume of the page's third example is one node's, and the test's cluster has two.
    assert [line for line in warnings if "ReadWriteOnce" not in line] == []
    assert f"autotuner.io/mount={way.removesuffix('-v1beta1')}" in desk.run(
        "kubectl get namespace autotuner --show-labels"
    )
    made = desk.run("kubectl get job,pod,pvc,configmap,role,rolebinding -n autotuner -o name")
    for name in ("job.batch/fill-model", "pod/runs", "claim/tuner-runs"):
        assert name in made
    assert re.search(r"role\S*/autotuner-secrets", made)


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
