"""Which OME it is shows in what it does, and its model has to be as that one takes it."""

from __future__ import annotations

import pytest

from tuner.deploy.kubernetes.preflight import findings
from tuner.deploy.kubernetes.wanted import Demand

PATH = "/raid/models/tiny"


@pytest.fixture
def found(cluster, wanted, trial):
    def lines(level, **sections):
        made = findings(cluster, wanted(demand=Demand(1, 0, trial, ("m",)), **sections), trial)
        return [finding.line for finding in made if finding.level == level]

    return lines


@pytest.fixture
def native(cluster):
    """OME 1.2 in its refusal of a BaseModel whose claim names a namespace."""

    def refuse(model):
        raise cluster.refused(403, "a BaseModel must not specify a namespace")

    cluster.admit_model = refuse
    model(cluster, "pvc://trials:c/m")


def model(cluster, uri, *, plural="clusterbasemodels", **status):
    cluster.objects.pop(("clusterbasemodels", "tiny"), None)
    cluster.put(plural, "tiny", spec={"storage": {"storageUri": uri, "path": PATH}}, status=status)


def test_the_version_is_told_by_what_it_does(cluster, found, native):
    assert any("OME: its kinds are known; 1.2 by what it does" in line for line in found("ok"))

    def refuse(service):
        if "absent" in service["spec"]["model"]["name"]:
            said = 'admission webhook "ome" denied the request: base model tuner-preflight-absent not found'
            raise cluster.refused(403, said)
        return service

    cluster.admit_service = refuse
    assert any("1.3 or later by what it does" in line for line in found("ok"))
    assert any("PodMonitor" in line for line in found("warning"))
    cluster.admit_model = lambda made: made
    assert any("0.1.5 to 1.1 by what it does" in line for line in found("ok"))


def test_a_kind_that_is_missing_is_named(cluster, found, monkeypatch):
    known = cluster.list

    def without(resource, **sent):
        given = known(resource, **sent)
        if not resource.plural:
            given["resources"] = [each for each in given["resources"] if each["name"] != "basemodels"]
        return given

    monkeypatch.setattr(cluster, "list", without)
    (line,) = found("error")
    assert line.startswith(
        "OME: the API server knows no basemodels.ome.io in v1beta1; would be right: OME 0.1.5"
    )


@pytest.mark.parametrize(
    ("uri", "plural", "remedy"),
    [
        ("pvc://c/m", "clusterbasemodels", "storageUri: pvc://trials:c/m"),
        ("pvc://trials:c/m", "basemodels", "storageUri: pvc://c/m"),
        ("pvc://trials:c", "clusterbasemodels", "storageUri: pvc://trials:c/m"),
    ],
)
def test_a_storage_uri_that_ome_1_2_refuses_is_an_error_there_and_none_on_0_1_5(
    cluster, found, native, uri, plural, remedy
):
    model(cluster, uri, plural=plural)
    kind = {"kind": "BaseModel"} if plural == "basemodels" else {}
    (line,) = found("error", model=kind)
    assert line.startswith(f"model tiny: its storageUri {uri} ")
    assert line.endswith(f"would be right: {remedy}")
    cluster.admit_model = lambda made: made
    assert found("error", model=kind) == []


@pytest.mark.parametrize(
    ("of_model", "level", "said"),
    [
        ({"modelFormat": {"name": "safetensors", "version": "1.0.0"}}, "", ""),
        ({"modelFormat": {"name": "gguf"}}, "error", "its modelFormat is gguf, the runtime has"),
        (
            {"modelFormat": {"name": "safetensors"}},
            "warning",
            "its modelFormat is safetensors, the runtime has",
        ),
        (
            {"modelFormat": {"name": "safetensors", "version": "1.0.0"}, "modelArchitecture": "X"},
            "warning",
            "its modelArchitecture is X, the runtime has none",
        ),
        (
            {"modelFormat": {"name": "safetensors", "version": "1.0.0"}, "modelParameterSize": "70B"},
            "error",
            "its size is 70B, the runtime has 1B to 10B",
        ),
    ],
)
def test_a_runtime_that_is_not_for_such_models_is_an_error_on_0_1_5_where_it_is_certain(
    cluster, found, of_model, level, said
):
    runtime = cluster.objects["clusterservingruntimes", "rt"]["spec"]
    runtime["supportedModelFormats"] = [
        {"modelFormat": {"name": "onnx"}, "modelFramework": {"name": "x"}},
        {"modelFormat": {"name": "safetensors", "version": "1.0.0"}},
    ]
    runtime["modelSizeRange"] = {"min": "1B", "max": "10B"}
    cluster.objects["clusterbasemodels", "tiny"]["spec"] |= of_model
    for each in ("error", "warning"):
        lines = found(each)
        assert bool(lines) is (each == level)
        assert all(said in line and "spec.supportedModelFormats" in line for line in lines)


def test_what_ome_says_of_the_models_claim_is_handed_on(cluster, found, native):
    ready = {"type": "Ready", "status": "False", "reason": "PVCNotBound", "message": "claim c is\nPending"}
    model(cluster, "pvc://trials:c/m", conditions=[ready])
    (line,) = found("error")
    assert line.startswith("model tiny: OME does not get it ready: PVCNotBound: claim c is Pending; would be")


def test_fields_that_the_definitions_do_not_know_are_told_before_a_trial_meets_them(cluster, found):
    def refuse(service):
        if service["metadata"]["name"].startswith("prefligh-"):
            raise cluster.refused(400, 'strict decoding error: unknown field "spec.engine.runner.x"')
        return service

    cluster.admit_service = refuse
    (line,) = found("error")
    assert line.startswith(
        "InferenceService of a trial: the API server does not take it: strict decoding error"
    )


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ('pods "x" is forbidden: violates PodSecurity "restricted": hostPath', "container_security_context"),
        (
            'pods "x" is forbidden: failed quota: q: must specify limits.memory',
            "with what is named, for requests",
        ),
        (
            'pods "x" is forbidden: maximum memory usage per Container is 1Gi',
            "within the namespace's LimitRange",
        ),
    ],
)
def test_a_pod_that_admission_would_refuse_is_told_with_what_helps(cluster, found, said, remedy):
    known = cluster.admit

    def refuse(pod):
        if (
            pod["spec"]["containers"][0]["image"] == "engine:1"
            and "tuner-preflight" in pod["metadata"]["name"]
        ):
            raise cluster.refused(403, said)
        return known(pod)

    cluster.admit = refuse
    (line,) = found("error")
    assert line.startswith(f"pod of a trial: it would be refused: {said.partition('forbidden: ')[2][:20]}")
    assert remedy in line
