"""The webhook as an operator installs it: two pods behind a Service, certificates by the command."""

from __future__ import annotations

import hashlib
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from admission_parts import ADMISSION, Pods, Refusal, account_kubeconfig, install_policies
from kubernetes import client
from mount_pods import HERE, MODEL, READY, annotations, engine, host, mount, mounted, path_is, pod

from tuner.webhook.command import main

pytestmark = pytest.mark.cluster

_SERVE = "import sys; from tuner.webhook.command import main; sys.exit(main(sys.argv[1:]))"
_CLUSTER_WIDE = ("ClusterRole", "ClusterRoleBinding", "MutatingWebhookConfiguration")
_MERGE = "application/merge-patch+json"
ANNOTATED = pod(engine(), volumes=[host()])


@dataclass(frozen=True)
class Installed:
    """The webhook's pods, and a namespace whose pods they see."""

    api: client.ApiClient
    namespace: str
    configuration: str
    kubeconfig: Path
    trials: Any
    pods: Pods

    def certs(self, *more: str) -> None:
        """`tuner webhook certs --apply`, with the rights of the account that the CronJob has."""
        names = ["--namespace", self.namespace, "--configuration", self.configuration]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KUBECONFIG", str(self.kubeconfig))
            assert main(["certs", "--apply", *names, *more]) == 0

    def deployment(self) -> Any:
        return client.AppsV1Api(self.api).read_namespaced_deployment("ome-pvc-mount", self.namespace)

    def rolled_out(self) -> bool:
        found = self.deployment()
        status = found.status
        current = status.observed_generation == found.metadata.generation
        return current and status.updated_replicas == status.available_replicas == status.replicas == 2

    def replicas(self) -> list[Any]:
        found = client.CoreV1Api(self.api).list_namespaced_pod(
            self.namespace, label_selector="app.kubernetes.io/name=ome-pvc-mount"
        )
        return list(found.items)

    def shown(self) -> set[str]:
        """The certificates that the running replicas show, by their digests."""
        addresses = [(each.status.pod_ip, 8443) for each in self.replicas()]
        pems = [ssl.get_server_certificate(address, timeout=5) for address in addresses]
        return {hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest() for pem in pems}


@pytest.fixture(scope="module")
def installed(
    admin_api: client.ApiClient,
    apply: Callable[..., Any],
    remove: Callable[..., Any],
    until: Callable[..., Any],
    new_namespace: Callable[..., Any],
    engine_parts: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Installed]:
    install_policies(admin_api, apply)
    with new_namespace("webhook") as own, new_namespace("trials", mount="webhook") as trials:
        documents = moved(own.name, trials.name, engine_parts)
        apply(documents)
        try:
            made = Installed(
                admin_api,
                own.name,
                f"ome-pvc-mount-{own.name}",
                account_kubeconfig(
                    admin_api, own.name, "ome-pvc-mount-certs", tmp_path_factory.mktemp("account")
                ),
                trials,
                Pods(admin_api, trials.name),
            )
            made.certs()
            until(
                made.rolled_out,
                seconds=120,
                what=lambda: f"two replicas are ready: {made.deployment().status}",
            )
            until(lambda: made.pods.mounts(ANNOTATED), seconds=10, what="the webhook acts")
            yield made
        finally:
            for document in documents:
                if document["kind"] in _CLUSTER_WIDE:
                    remove(document)


def moved(namespace: str, trials: str, parts: Any) -> list[dict[str, Any]]:
    """webhook.yaml in another namespace, for the pods of `trials` alone, with programs of the host."""
    documents = list(yaml.safe_load_all((ADMISSION / "webhook.yaml").read_text()))
    documents = [each for each in documents if each["kind"] != "Namespace"]
    for each in documents:
        if each["kind"] in _CLUSTER_WIDE:
            each["metadata"]["name"] += f"-{namespace}"
        else:
            each["metadata"]["namespace"] = namespace
        for subject in each.get("subjects", []):
            subject["namespace"] = namespace
    by_kind = {each["kind"]: each for each in documents}
    by_kind["ClusterRole"]["rules"][0]["resourceNames"] = [f"ome-pvc-mount-{namespace}"]
    by_kind["ClusterRoleBinding"]["roleRef"]["name"] += f"-{namespace}"
    (webhook,) = by_kind["MutatingWebhookConfiguration"]["webhooks"]
    webhook["clientConfig"]["service"]["namespace"] = namespace
    webhook["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] = trials
    spec = by_kind["Deployment"]["spec"]["template"]["spec"]
    spec["volumes"] += parts.volumes
    (container,) = spec["containers"]
    runs = parts.container()
    container["image"] = runs["image"]
    container["imagePullPolicy"] = runs["imagePullPolicy"]
    container["command"] = [sys.executable, "-c", _SERVE, "serve"]
    container["env"] = parts.env
    container["volumeMounts"] += parts.mounts
    return documents


def test_a_pod_that_ome_would_run_from_the_node_serves_from_the_claim(
    installed: Installed, engine_parts: Any, until: Callable[..., Any]
):
    trials = installed.trials
    serving = engine_parts.container(env={"MODEL_PATH": HERE}, mounts=[mount()])
    one = pod(
        serving,
        volumes=[*engine_parts.volumes, host()],
        selector={READY: "Ready"},
        notes=annotations(pvc_name=trials.claim, pvc_subpath=trials.subpath),
    )
    made = installed.pods.create(one, dry_run=False)
    assert not isinstance(made, Refusal), made
    core, name = client.CoreV1Api(installed.api), made["metadata"]["name"]
    assert mounted(sub=trials.subpath) in made["spec"]["containers"][0]["volumeMounts"]
    assert path_is("/models/served") in made["spec"]["containers"][0]["env"]

    def ready() -> bool:
        statuses = core.read_namespaced_pod(name, trials.name).status.container_statuses or []
        return bool(statuses) and all(status.ready for status in statuses)

    until(ready, seconds=60, what="it serves the model, which is nowhere but in the claim")
    core.delete_namespaced_pod(name, trials.name, grace_period_seconds=0)


def test_the_certificates_command_does_nothing_twice(installed: Installed, capsys):
    installed.certs()
    assert "still good" in capsys.readouterr().out


def test_no_pod_is_refused_while_the_replicas_are_replaced(installed: Installed, until: Callable[..., Any]):
    before = installed.deployment().spec.template.metadata
    restarted = {"spec": {"template": {"metadata": {"annotations": {"restarted": f"{time.time()}"}}}}}
    client.AppsV1Api(installed.api).patch_namespaced_deployment(
        "ome-pvc-mount", installed.namespace, restarted, _content_type=_MERGE
    )
    assert before.annotations != installed.deployment().spec.template.metadata.annotations
    asked = [installed.pods.create(ANNOTATED)]

    def ended() -> bool:
        asked.append(installed.pods.create(ANNOTATED))
        return installed.rolled_out() and not _leaving(installed)

    until(ended, seconds=120, what="the replicas are replaced")
    assert len(asked) > 10
    assert [each for each in asked if isinstance(each, Refusal)] == []


def _leaving(installed: Installed) -> bool:
    return any(each.metadata.deletion_timestamp for each in installed.replicas())


def test_a_renewal_reaches_the_running_replicas_and_interrupts_nothing(
    installed: Installed, until: Callable[..., Any], capsys
):
    before = installed.shown()
    assert len(before) == 1
    installed.certs("--host", "another.example.com")
    assert "the certificate is not for another.example.com" in capsys.readouterr().out
    for replica in installed.replicas():  # so that the kubelet looks at the Secret now and not in a minute
        client.CoreV1Api(installed.api).patch_namespaced_pod(
            replica.metadata.name,
            installed.namespace,
            {"metadata": {"annotations": {"looked-at": "now"}}},
            _content_type=_MERGE,
        )
    refused = []

    def renewed() -> bool:
        got = installed.pods.create(ANNOTATED)
        refused.extend([got] if isinstance(got, Refusal) else [])
        return not installed.shown() & before

    until(renewed, seconds=150, what="both replicas show the new certificate")
    assert refused == []


@pytest.mark.parametrize("replica", ["one", "both"])
def test_with_one_replica_gone_pods_are_mounted_and_with_both_refused(
    installed: Installed, replica: str, until: Callable[..., Any]
):
    scale = {"spec": {"replicas": 1 if replica == "one" else 0}}
    apps = client.AppsV1Api(installed.api)
    apps.patch_namespaced_deployment("ome-pvc-mount", installed.namespace, scale, _content_type=_MERGE)
    core = client.CoreV1Api(installed.api)
    until(
        lambda: len(core.list_namespaced_pod(installed.namespace).items) == scale["spec"]["replicas"],
        seconds=60,
        what="the replica is gone",
    )
    if replica == "one":
        assert installed.pods.mounts(ANNOTATED)
    else:
        got = installed.pods.create(ANNOTATED)
        assert isinstance(got, Refusal)
        assert "failed calling webhook" in got.message
        assert MODEL not in got.message
    apps.patch_namespaced_deployment(
        "ome-pvc-mount", installed.namespace, {"spec": {"replicas": 2}}, _content_type=_MERGE
    )
    until(installed.rolled_out, seconds=60, what="two replicas are ready again")
