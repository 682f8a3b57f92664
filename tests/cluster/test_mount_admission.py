"""The policy and the webhook on a real API server: one table of cases, one outcome; the guard behind both."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from admission_parts import Pods, Refusal, certificates, configured, install_policies
from json_patch import applied
from kubernetes import client
from mount_cases import CASES, Case
from mount_pods import container, engine, host, mount, pod
from mount_webhook import served
from random_pods import random_pod

from tuner.webhook.certs_files import write_certificates
from tuner.webhook.contract import PodRefused
from tuner.webhook.patch import patch_pod
from tuner.webhook.review import Answer, Outcome

pytestmark = pytest.mark.cluster

WAYS = ("policy", "webhook")
FINISHED = [case for case in CASES if case.finished is not None]
REFUSED = [case for case in CASES if case.finished is None]
CHANGED = [case for case in FINISHED if case.finished != case.pod and not case.by_api]
PLAIN = pod(container("web"), notes={}, labels={})
ANNOTATED = pod(engine(), volumes=[host()])


@pytest.fixture(scope="module")
def policies(admin_api: client.ApiClient, apply: Callable[..., Any]) -> None:
    install_policies(admin_api, apply)


@pytest.fixture(scope="module")
def plain(admin_api: client.ApiClient, new_namespace: Callable[..., Any]) -> Iterator[Pods]:
    """Where nobody mounts and nobody guards."""
    with new_namespace("plain") as made:
        yield Pods(admin_api, made.name)


@pytest.fixture(scope="module")
def unmounted(
    admin_api: client.ApiClient, new_namespace: Callable[..., Any], policies: None, until: Callable[..., Any]
) -> Iterator[Pods]:
    """Where the guard acts, and neither policy nor webhook: they are gone, or never were."""
    with new_namespace("guarded", mount="none") as made:
        pods = Pods(admin_api, made.name)
        until(lambda: isinstance(pods.create(ANNOTATED), Refusal), seconds=10, what="the guard acts")
        yield pods


@pytest.fixture(scope="module", params=WAYS)
def mounted(
    request: pytest.FixtureRequest,
    admin_api: client.ApiClient,
    new_namespace: Callable[..., Any],
    policies: None,
    until: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pods]:
    """Where the policy acts; and where the webhook does, served from this process."""
    with new_namespace(f"by-{request.param}", mount=request.param) as made:
        pods = Pods(admin_api, made.name)
        if request.param == "policy":
            until(lambda: pods.mounts(ANNOTATED), seconds=10, what="the policy acts")
            yield pods
            return
        folder = tmp_path_factory.mktemp("certs")
        write_certificates(folder, certificates())
        with served(folder) as (server, _), configured(pods, folder, port=server.port):
            until(lambda: pods.mounts(ANNOTATED), seconds=10, what="the webhook acts")
            yield pods


@pytest.mark.parametrize("case", FINISHED, ids=lambda case: case.name)
def test_the_pod_becomes_what_the_table_has_and_stays_it(case: Case, mounted: Pods, plain: Pods):
    right = plain.made(case.finished)
    assert mounted.made(case.pod) == right
    assert mounted.made(case.finished) == right


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_the_pod_is_refused_and_the_reason_told(case: Case, mounted: Pods):
    got = mounted.create(case.pod)
    assert isinstance(got, Refusal)
    assert got.code == 422
    assert case.refused in got.message


@pytest.mark.parametrize("seeds", [range(n, n + 50) for n in range(0, 200, 50)], ids=str)
def test_pods_that_nobody_thought_of_become_the_same_in_both_ways(seeds: range, mounted: Pods, plain: Pods):
    """`patch_pod` stands for the webhook, so that each way is held against the other."""
    outcomes = set()
    for seed in seeds:
        one = random_pod(seed)
        got = mounted.made(one)
        try:
            right = plain.made(applied(one, patch_pod(one)))
        except PodRefused:
            outcomes.add("refused")
            assert isinstance(got, Refusal) and got.code == 422, seed
            continue
        if isinstance(right, Refusal):
            outcomes.add("refused by the API")
            assert isinstance(got, Refusal), seed
        else:
            outcomes.add("taken")
            assert got == right, seed
    assert {"taken", "refused"} <= outcomes


def test_a_pod_without_annotations_keeps_its_hostpath_beside_those_with(mounted: Pods, plain: Pods):
    hostpath = pod(engine(), volumes=[host()], notes={"ome.io/base-model-name": "tiny"})
    assert mounted.made(hostpath) == plain.made(hostpath)
    assert mounted.mounts(ANNOTATED)


def test_what_was_really_created_is_what_the_dry_run_said(mounted: Pods):
    shown = mounted.made(ANNOTATED)
    stored = mounted.create(ANNOTATED, dry_run=False)
    read = client.CoreV1Api(mounted.api).read_namespaced_pod(
        stored["metadata"]["name"], mounted.namespace, _preload_content=False
    )
    spec = json.loads(read.read())["spec"]
    assert {key: spec[key] for key in ("volumes", "containers")} == {
        key: shown["spec"][key] for key in ("volumes", "containers")
    }
    assert "nodeSelector" not in spec


@pytest.mark.parametrize("case", CHANGED, ids=lambda case: case.name)
def test_where_nothing_mounts_the_guard_refuses_what_should_have_been_changed(case: Case, unmounted: Pods):
    got = unmounted.create(case.pod)
    assert isinstance(got, Refusal)
    assert got.code == 422
    assert "ome-pvc-guard" in got.message


@pytest.mark.parametrize("case", [case for case in REFUSED if not case.by_api], ids=lambda case: case.name)
def test_where_nothing_mounts_the_guard_refuses_wrong_pods_as_well(case: Case, unmounted: Pods):
    got = unmounted.create(case.pod)
    assert isinstance(got, Refusal)
    assert "ome-pvc-guard" in got.message


def test_where_nothing_mounts_finished_and_plain_pods_are_taken(unmounted: Pods, plain: Pods):
    for case in FINISHED:
        if case.finished == case.pod:
            assert unmounted.made(case.pod) == plain.made(case.pod), case.name
    assert unmounted.made(PLAIN) == plain.made(PLAIN)


def test_the_refusal_says_what_is_missing(unmounted: Pods):
    got = unmounted.create(ANNOTATED)
    assert isinstance(got, Refusal)
    assert "volume tiny is still a hostPath, not claim models" in got.message
    assert "is the policy or webhook ome-pvc-mount in place?" in got.message


def test_a_webhook_that_does_not_answer_refuses_annotated_pods_and_no_others(
    admin_api: client.ApiClient,
    new_namespace: Callable[..., Any],
    policies: None,
    plain: Pods,
    until: Callable[..., Any],
    tmp_path: Path,
):
    write_certificates(tmp_path, certificates())
    with new_namespace("hook-down", mount="webhook") as made:
        pods = Pods(admin_api, made.name)
        with served(tmp_path) as (server, _):
            port = server.port
            with configured(pods, tmp_path, port=port):
                until(lambda: pods.mounts(ANNOTATED), seconds=10, what="the webhook acts")
        with configured(pods, tmp_path, port=port):

            def refused() -> Refusal | None:
                got = pods.create(ANNOTATED)
                return got if isinstance(got, Refusal) and "failed calling webhook" in got.message else None

            assert until(refused, seconds=10, what="annotated pods are refused").code == 500
            assert pods.made(PLAIN) == plain.made(PLAIN)
        until(
            lambda: "ome-pvc-guard" in getattr(pods.create(ANNOTATED), "message", ""),
            seconds=10,
            what="with the webhook gone the guard refuses",
        )


def test_a_sidecar_that_another_webhook_adds_later_is_mounted_right_too(
    mounted: Pods, tmp_path: Path, until: Callable[..., Any]
):
    """Both are asked again (reinvocationPolicy IfNeeded), whichever was asked first."""
    injected = container("injected", mounts=[mount("/late")])
    with injecting(mounted, injected, tmp_path):
        got = until(
            lambda: _with_injected(mounted.create(ANNOTATED)), seconds=10, what="the sidecar is injected"
        )
    (sidecar,) = [each for each in got["spec"]["containers"] if each["name"] == "injected"]
    assert sidecar["volumeMounts"] == [
        {"name": "tiny", "mountPath": "/models/served", "readOnly": True, "subPath": "meta/tiny"}
    ]
    assert sidecar["env"] == [{"name": "MODEL_PATH", "value": "/models/served"}]


def _with_injected(got: dict[str, Any] | Refusal) -> dict[str, Any] | None:
    if isinstance(got, Refusal):
        raise AssertionError(got.message)
    names = [each["name"] for each in got["spec"]["containers"]]
    return got if "injected" in names else None


@contextmanager
def injecting(pods: Pods, sidecar: dict[str, Any], folder: Path) -> Iterator[None]:
    """A webhook of somebody else's that adds `sidecar`, its name last in the order of webhooks."""
    write_certificates(folder, certificates())

    def answered(review: Any) -> Answer:
        request = review["request"]
        response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
        if all(each["name"] != sidecar["name"] for each in request["object"]["spec"]["containers"]):
            patch = [{"op": "add", "path": "/spec/containers/-", "value": sidecar}]
            response |= {
                "patchType": "JSONPatch",
                "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
            }
        body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        return Answer(body, Outcome.PATCHED, "")

    with served(folder, answered=answered) as (server, _):
        anywhere = {"matchLabels": {"kubernetes.io/metadata.name": pods.namespace}}
        with configured(
            pods,
            folder,
            port=server.port,
            name="zz-injector",
            namespaceSelector=anywhere,
            reinvocationPolicy="Never",
        ):
            yield
