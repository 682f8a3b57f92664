"""The webhook as an operator installs it: two pods behind a Service, certificates by the command."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from admission_parts import Refusal
from kubernetes import client
from mount_pods import HERE, MODEL, READY, annotations, host, mount, mounted, path_is, pod
from webhook_parts import ANNOTATED, Installed, installed_webhook

pytestmark = pytest.mark.cluster

_MERGE = "application/merge-patch+json"


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
    with (
        new_namespace("trials", mount="webhook") as trials,
        installed_webhook(
            admin_api,
            apply=apply,
            remove=remove,
            until=until,
            new_namespace=new_namespace,
            engine_parts=engine_parts,
            trials=trials,
            folder=tmp_path_factory.mktemp("account"),
        ) as made,
    ):
        yield made


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
