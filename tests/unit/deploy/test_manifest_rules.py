"""What holds of every manifest, whatever template it comes from."""

import dataclasses

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.deploy.kubernetes.manifests import (
    cluster_base_model,
    deployment,
    inference_service,
    to_yaml,
    wanted_of,
)
from tuner.deploy.kubernetes.object_checks import object_faults
from tuner.deploy.kubernetes.overlay import laid_over
from tuner.deploy.kubernetes.runtime import Runtime
from tuner.deploy.kubernetes.wanted import RUN, Identity, Mount, Way
from tuner.errors import UserError
from tuner.spec import load_experiment
from tuner.trial.ports import Phase, TrialConfig

OME = """\
model: {name: llama}
storage: {type: pvc, pvc_name: models, pvc_subpath: a/b}
deploy: {backend: ome, runtime: sglang, namespace: ns, env: {A: "1", B: "$(A) $(HOME) {{x}}"}}
parameters: {a: {values: [1, 2]}, v: {values: [x/y], place: storage.pvc_subpath}}
workload: {scenario: "D(48,64)", concurrency: 16}
"""
PLAIN = """\
model: {name: llama}
storage: {type: pvc, pvc_name: models}
deploy: {backend: kubernetes, image: "example/engine:1", arguments: [serve, $(MODEL_PATH)]}
parameters: {a: {values: [1, 2]}}
workload: {scenario: "D(48,64)", concurrency: 16}
"""
POLICY = Mount(Way.POLICY, "/raid/models/llama", annotate=True)
TRIAL = TrialConfig(
    run="r1", trial=3, phase=Phase.SEARCH, attempt=1, params={"a": 1}, arguments=("--a", "1"), accelerators=2
)
IDENTITY = Identity("r1-t0003-a1", {RUN: "r1"})

HOSTILE = st.text(st.characters(exclude_categories=["Cs"])) | st.text(
    "'\"\\\n :-#{}[]&*!|>%@`0123456789eo_.", max_size=12
)


@pytest.fixture
def wanted(tmp_path):
    def read(text, template="", *sets):
        path = tmp_path / "experiment.yaml"
        path.write_text(text)
        if template:
            own = tmp_path / "own.yaml.j2"
            own.write_text(template)
            sets = (*sets, f"deploy.template={own}")
        return wanted_of(load_experiment(path, sets))

    return read


@pytest.fixture
def service(wanted):
    def make(
        text=OME, template="", *sets, trial=TRIAL, identity=IDENTITY, mount=POLICY, runtime=None, **more
    ):
        found = wanted(text, template, *sets)
        return inference_service(found, trial, identity=identity, mount=mount, runtime=runtime, **more)

    return make


def runner(manifest):
    return manifest["spec"]["engine"]["runner"]


def test_a_template_of_ones_own_is_laid_over_the_shipped_one(service):
    own = (
        "kind: InferenceService\nspec:\n  engine:\n    minReplicas: null\n    hostNetwork: true\n"
        "    runner:\n      image: '{{ model_name }}:x'\n"
        "      env: [{name: A, value: mine}, {name: C, value: c}]\n"
    )
    found = service(template=own)
    assert "minReplicas" not in found["spec"]["engine"]
    assert found["spec"]["engine"]["hostNetwork"] is True
    assert found["spec"]["engine"]["maxReplicas"] == 1
    assert runner(found)["image"] == "llama:x"
    assert runner(found)["args"] == ["--a", "1"]
    assert {e["name"]: e["value"] for e in runner(found)["env"]}["A"] == "mine"
    assert [e["name"] for e in runner(found)["env"]] == ["B", "A", "C"]


def test_a_template_cannot_lose_what_finds_and_removes_the_object(service):
    own = (
        "kind: InferenceService\nmetadata:\n  labels: {autotuner.io/run: other, mine: x}\n"
        "  annotations: {ome.io/pvc-name: other, mine: x}\n  ownerReferences: [{name: other}]\n"
    )
    identity = dataclasses.replace(IDENTITY, owner={"kind": "RayCluster", "name": "tuner"})
    metadata = service(template=own, identity=identity)["metadata"]
    assert metadata["labels"] == {"autotuner.io/run": "r1", "mine": "x"}
    assert metadata["annotations"]["ome.io/pvc-name"] == "models"
    assert metadata["annotations"]["mine"] == "x"
    assert metadata["ownerReferences"] == [{"kind": "RayCluster", "name": "tuner"}]


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ("kind: Pod\n", "got an object of kind 'Pod'; would be right: one InferenceService"),
        ("a: 1\n", "got an object of kind 'None'; would be right: one InferenceService"),
        ("- a\n", "got an object of kind ''; would be right: one InferenceService"),
        ("kind: InferenceService\n---\nkind: InferenceService\n", "got a second InferenceService"),
        (
            "kind: InferenceService\nmetadata: {name: x}\n",
            "metadata.name: got 'x'; would be right: 'r1-t0003-a1'",
        ),
        ("kind: InferenceService\nmetadata: {namespace: x}\n", "metadata.namespace: got 'x'"),
        ("kind: InferenceService\nspec: text\n", "InferenceService: got 'text' where a mapping is"),
        ("kind: InferenceService\nmetadata: [x]\n", "got ['x'] where a mapping is"),
    ],
)
def test_a_template_that_makes_something_else_is_refused(service, own, said):
    with pytest.raises(UserError) as caught:
        service(template=own)
    assert said in str(caught.value)
    assert "own.yaml.j2" in str(caught.value)


def test_annotations_are_written_only_where_admission_is_to_act(service):
    assert set(service()["metadata"]["annotations"]) == {
        "ome.io/storage-type",
        "ome.io/pvc-name",
        "ome.io/pvc-subpath",
    }
    assert "annotations" not in service(mount=Mount(Way.NATIVE, "/opt/ml/model", annotate=False))["metadata"]
    assert "annotations" not in service(mount=None)["metadata"]


def test_inline_mounts_the_claim_read_only_with_the_subpath_and_says_where(service):
    found = service(mount=Mount(Way.INLINE, "/m", annotate=False))
    volume = {"name": "tuner-model", "persistentVolumeClaim": {"claimName": "models", "readOnly": True}}
    assert found["spec"]["engine"]["volumes"] == [volume]
    mount = {"name": "tuner-model", "mountPath": "/m", "readOnly": True, "subPath": "a/b"}
    assert runner(found)["volumeMounts"] == [mount]
    assert runner(found)["env"][0] == {"name": "MODEL_PATH", "value": "/m"}


def test_the_place_of_a_parameter_takes_the_subpaths_place(service):
    trial = dataclasses.replace(TRIAL, places={"storage.pvc_subpath": "x/y"})
    assert service(trial=trial)["metadata"]["annotations"]["ome.io/pvc-subpath"] == "x/y"
    inline = service(trial=trial, mount=Mount(Way.INLINE, "/m", annotate=False))
    assert runner(inline)["volumeMounts"][0]["subPath"] == "x/y"


def test_env_is_literal_but_for_known_variables_and_a_trials_own_wins(service):
    trial = dataclasses.replace(TRIAL, environment={"A": "2", "T": "$(MODEL_PATH)"})
    assert {e["name"]: e["value"] for e in runner(service(trial=trial))["env"]} == {
        "A": "2",
        "B": "$(A) $$(HOME) {{`{{`}}x}}",
        "T": "$(MODEL_PATH)",
    }


def test_accelerators_stand_in_requests_and_limits_and_none_ask_for_none(service):
    sets = ("deploy.gpu_resource=amd.com/gpu",)
    assert runner(service(OME, "", *sets))["resources"] == {
        "limits": {"amd.com/gpu": 2},
        "requests": {"amd.com/gpu": 2},
    }
    assert "resources" not in runner(service(trial=dataclasses.replace(TRIAL, accelerators=0)))


def test_flags_are_merged_with_the_runtimes_or_put_into_its_script(service):
    plain = Runtime("rt", "ServingRuntime", command=("/engine",), args=("--p", "1", "--a", "9"))
    found = service(runtime=plain)
    assert runner(found)["args"] == ["--p", "1", "--a", "1"]
    assert found["spec"]["runtime"] == {"name": "sglang", "apiGroup": "ome.io", "kind": "ServingRuntime"}
    script = Runtime("rt", "ClusterServingRuntime", command=("bash", "-c", "exec /engine --a 9"))
    assert runner(service(runtime=script))["command"] == ["bash", "-c", "exec /engine --a 9 --a 1"]
    assert "args" not in runner(service(runtime=script))


def test_a_node_to_avoid_is_avoided_while_there_is_another(service):
    terms = service(avoid_nodes=["n2"])["spec"]["engine"]["affinity"]["nodeAffinity"]
    (preferred,) = terms["preferredDuringSchedulingIgnoredDuringExecution"]
    apart = {"key": "metadata.name", "operator": "NotIn", "values": ["n2"]}
    assert preferred["preference"]["matchFields"] == [apart]


def test_a_node_to_be_near_is_preferred_after_those_to_avoid(service):
    trial = dataclasses.replace(TRIAL, near="n1")
    (only,) = _preferred(service(trial=trial))
    there = {"key": "metadata.name", "operator": "In", "values": ["n1"]}
    assert only["preference"]["matchFields"] == [there]
    avoided, near = _preferred(service(trial=trial, avoid_nodes=["n1"]))
    assert avoided["weight"] > near["weight"]
    assert "affinity" not in service()["spec"]["engine"]


def _preferred(manifest):
    terms = manifest["spec"]["engine"]["affinity"]["nodeAffinity"]
    return terms["preferredDuringSchedulingIgnoredDuringExecution"]


def test_a_deployment_runs_one_pod_at_a_time_and_its_service_finds_it(wanted):
    made, service = deployment(wanted(PLAIN), TRIAL, identity=IDENTITY)
    pod = made["spec"]["template"]
    assert (made["spec"]["replicas"], made["spec"]["strategy"]["type"]) == (1, "Recreate")
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert made["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert pod["metadata"]["labels"][RUN] == "r1"
    assert pod["spec"]["containers"][0]["args"] == ["serve", "$(MODEL_PATH)", "--a", "1"]
    assert pod["spec"]["containers"][0]["env"][0] == {"name": "MODEL_PATH", "value": "/raid/models/llama"}


def test_a_script_as_the_command_of_a_deployment_gets_the_flags_too(wanted):
    sets = ("deploy.command=[bash, -c]", "deploy.arguments=['exec engine serve $(MODEL_PATH)']")
    made, _ = deployment(wanted(PLAIN, "", *sets), TRIAL, identity=IDENTITY)
    container = made["spec"]["template"]["spec"]["containers"][0]
    assert (container["command"], container["args"]) == (
        ["bash", "-c"],
        ["exec engine serve $(MODEL_PATH) --a 1"],
    )
    with pytest.raises(
        UserError, match=r"^deploy.command: it is a shell script, and the engine is part of a pipe"
    ):
        sets = ("deploy.command=[bash, -c, engine | tee log]", "deploy.arguments=[]")
        deployment(wanted(PLAIN, "", *sets), TRIAL, identity=IDENTITY)


@given(HOSTILE)
@settings(max_examples=200)
def test_what_is_written_for_kubectl_is_read_back_as_it_was(text):
    objects = [{"a": text, "b": [text], "c": {text: 1}}]
    assert list(yaml.safe_load_all(to_yaml(objects))) == objects


@pytest.mark.parametrize(
    "word", ["y", "N", "on", "0o17", "017", "1e3", "22:00", "0x1f", "~", "=", "1_000", "<<"]
)
def test_a_word_that_a_reader_may_take_for_something_else_is_quoted(word):
    assert to_yaml([{"a": word}]) == f"a: '{word}'\n"


def test_a_deployment_with_tls_is_probed_over_https(wanted):
    made, _ = deployment(wanted(PLAIN, "", "deploy.tls.secret=ca"), TRIAL, identity=IDENTITY)
    probe = made["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]
    assert probe["httpGet"]["scheme"] == "HTTPS"


def test_a_template_for_a_deployment_may_leave_the_service_out(wanted):
    own = "kind: Deployment\nspec: {template: {spec: {containers: [{name: engine, tty: true}]}}}\n"
    made, service = deployment(wanted(PLAIN, own), TRIAL, identity=IDENTITY)
    container = made["spec"]["template"]["spec"]["containers"][0]
    assert (container["tty"], container["image"]) == (True, "example/engine:1")
    assert service["kind"] == "Service"


def test_a_model_that_is_nowhere_is_refused(wanted):
    with pytest.raises(UserError, match=r"model.storage_path: got nothing"):
        cluster_base_model(
            wanted(OME, "", "storage={type: hostPath}", "parameters={a: {values: [1]}}"), namespace="ns"
        )


def test_a_mapping_is_merged_a_named_list_by_names_and_another_list_replaced():
    base = {"a": {"b": 1, "c": 2}, "env": [{"name": "x", "value": "1"}], "list": [1, 2], "labels": {"l": "1"}}
    over = {"a": {"b": None, "d": 3}, "env": [{"name": "x", "value": "2"}], "list": [3], "labels": None}
    assert laid_over(base, over) == {
        "a": {"c": 2, "d": 3},
        "env": [{"name": "x", "value": "2"}],
        "list": [3],
        "labels": {"l": "1"},
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metadata": {"name": "1x"}}, "metadata.name: got '1x'; would be right: 1 to 63 lower case"),
        ({"metadata": {"name": "x", "labels": {"a": "b c"}}}, "metadata.labels.a: got 'b c'"),
        ({"metadata": {"name": "x", "labels": {"a": 1}}}, "metadata.labels.a: got 1; would be right: text"),
        ({"metadata": {"name": "x", "annotations": {"a b": "c"}}}, "metadata.annotations: got 'a b'"),
        ({"spec": {"engine": {"runner": {"args": ["a", 1]}}}}, "spec.engine.runner.args[1]: got 1"),
        ({"spec": {"engine": {"runner": {"args": "a b"}}}}, "runner.args: got 'a b'; would be right: a list"),
        ({"spec": {"runner": {"env": [{"name": "a b", "value": 1}]}}}, "env[0].name: got 'a b'"),
        ({"spec": {"runner": {"resources": {"limits": {"cpu": "x"}}}}}, "limits.cpu: got 'x'"),
        ({"spec": {"volumeMounts": [{"mountPath": "/a"}, {"mountPath": "/a"}]}}, "got '/a' twice"),
        ({"spec": {"volumeMounts": [{"mountPath": "/a", "subPath": "../b"}]}}, "subPath: got '../b'"),
        ({"spec": {"nodeSelector": {"a": "/"}}}, "spec.nodeSelector.a: got '/'"),
    ],
)
def test_what_kubernetes_would_refuse_is_named_with_its_place(change, said):
    manifest = {"kind": "InferenceService", "metadata": {"name": "x"}, **change}
    assert said in "\n".join(object_faults(manifest))
