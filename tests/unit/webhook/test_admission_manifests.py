"""The operator's files agree with each other and with the program they run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tuner.webhook.certs import service_names
from tuner.webhook.command import parser
from tuner.webhook.server import MUTATE_PATH

FOLDER = Path(__file__).parents[3] / "cluster" / "admission"
ANNOTATED = {"ome.io/storage-type": "pvc"}


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def one(name: str, kind: str) -> dict[str, Any]:
    (found,) = [document for document in documents(name) if document["kind"] == kind]
    return found


def test_the_policy_for_older_clusters_differs_in_its_api_version_alone():
    newer = (FOLDER / "policy.yaml").read_text().splitlines()
    older = (FOLDER / "policy-v1beta1.yaml").read_text().splitlines()
    differing = [(a, b) for a, b in zip(newer, older, strict=True) if a != b]
    group = "apiVersion: admissionregistration.k8s.io/"
    assert differing == [(f"{group}v1", f"{group}v1beta1")] * 2


def test_each_way_acts_by_its_own_label_and_the_guard_by_any():
    def selector(name: str, kind: str) -> Any:
        return one(name, kind)["spec"]["matchResources"]["namespaceSelector"]

    assert selector("policy.yaml", "MutatingAdmissionPolicyBinding") == {
        "matchLabels": {"autotuner.io/mount": "policy"}
    }
    assert selector("guard.yaml", "ValidatingAdmissionPolicyBinding") == {
        "matchExpressions": [{"key": "autotuner.io/mount", "operator": "Exists"}]
    }
    (webhook,) = one("webhook.yaml", "MutatingWebhookConfiguration")["webhooks"]
    assert webhook["namespaceSelector"] == {"matchLabels": {"autotuner.io/mount": "webhook"}}


@pytest.mark.parametrize("name", ["policy.yaml", "guard.yaml"])
def test_each_binding_names_its_policy_and_both_fail_closed(name: str):
    policy, binding = documents(name)
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    assert policy["spec"]["failurePolicy"] == "Fail"


def test_the_webhook_fails_closed_soon_and_sees_pods_again_after_others_changed_them():
    (webhook,) = one("webhook.yaml", "MutatingWebhookConfiguration")["webhooks"]
    assert webhook["failurePolicy"] == "Fail"
    assert webhook["reinvocationPolicy"] == "IfNeeded"
    assert webhook["sideEffects"] == "None"
    assert webhook["timeoutSeconds"] <= 5


def test_the_configuration_leads_through_the_service_to_the_server():
    (webhook,) = one("webhook.yaml", "MutatingWebhookConfiguration")["webhooks"]
    service, deployment = one("webhook.yaml", "Service"), one("webhook.yaml", "Deployment")
    called = webhook["clientConfig"]["service"]
    (port,) = service["spec"]["ports"]
    template = deployment["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert called == {**service["metadata"], "path": MUTATE_PATH, "port": port["port"]}
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert port["targetPort"] == container["ports"][0]["name"]
    given = parser().parse_args([*container["command"][2:], *container["args"]])
    assert given.port == container["ports"][0]["containerPort"]
    assert {str(given.cert.parent), str(given.key.parent)} == {container["volumeMounts"][0]["mountPath"]}
    assert given.drain_seconds < template["spec"]["terminationGracePeriodSeconds"]


def test_the_certificates_command_names_what_the_files_do_without_being_told():
    cron = one("webhook.yaml", "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    given = parser().parse_args(cron["containers"][0]["command"][2:])
    deployment = one("webhook.yaml", "Deployment")
    service = one("webhook.yaml", "Service")["metadata"]
    assert given.apply
    assert (given.service, given.namespace) == (service["name"], service["namespace"])
    assert given.configuration == one("webhook.yaml", "MutatingWebhookConfiguration")["metadata"]["name"]
    (volume,) = deployment["spec"]["template"]["spec"]["volumes"]
    assert volume["secret"]["secretName"] == given.secret
    assert f"{service['name']}.{service['namespace']}.svc" in service_names(given.service, given.namespace)


def test_the_certificates_job_may_touch_the_named_objects_alone():
    rules = [
        *one("webhook.yaml", "Role")["rules"],
        *one("webhook.yaml", "ClusterRole")["rules"],
    ]
    without_names = [rule for rule in rules if "resourceNames" not in rule]
    assert [(rule["resources"], rule["verbs"]) for rule in without_names] == [(["secrets"], ["create"])]
    assert not any("*" in word for rule in rules for word in (*rule["resources"], *rule["verbs"]))


def test_every_container_passes_the_restricted_pod_security_standard():
    assert one("webhook.yaml", "Namespace")["metadata"]["labels"] == {
        "pod-security.kubernetes.io/enforce": "restricted"
    }
    specs = [
        one("webhook.yaml", "Deployment")["spec"]["template"]["spec"],
        one("webhook.yaml", "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"],
    ]
    for spec in specs:
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] > 0
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_one_of_two_replicas_stays_through_evictions_and_roll_outs():
    deployment = one("webhook.yaml", "Deployment")["spec"]
    assert deployment["replicas"] == 2
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert one("webhook.yaml", "PodDisruptionBudget")["spec"]["minAvailable"] == 1
