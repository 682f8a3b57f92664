"""Trials in a queue, with claimed accelerators, on a class of nodes: what is rendered and waited for."""

from __future__ import annotations

import pytest
import yaml

from tuner.deploy.kubernetes.capacity import room_wanted, too_large
from tuner.deploy.kubernetes.classify import Course
from tuner.deploy.kubernetes.fate import fate
from tuner.deploy.kubernetes.gates import held_back, is_of_queue, said_by_queue
from tuner.deploy.kubernetes.manifests import inference_service, wanted_of
from tuner.deploy.kubernetes.offline import offline_findings, trial_of
from tuner.deploy.kubernetes.outcomes import Deadlines, Waiting
from tuner.deploy.kubernetes.wanted import Identity
from tuner.deploy.kubernetes.watching import Arrived, Seen
from tuner.errors import BackendBroken, DeployInterrupted, FailureClass, SpecError
from tuner.spec.load import load_experiment
from tuner.spec.unbuilt import refuse_unbuilt

TEXT = """\
name: demo
model: {name: llama}
deploy:
  backend: ome
  runtime: sglang
  namespace: ns
  accelerators: tp
  queue: tuning
  accelerator_claim: "gpus-{count}"
  price_per_hour: gpu
  pod: {priority_class: low, node_selector: {pool: tuning}, tolerations: [{key: pool, operator: Exists}]}
  node_classes:
    h100: {node_selector: {gpu: h100}, tolerations: [{key: gpu, value: h100}]}
    a100: {node_selector: {gpu: a100}}
prices: {h100: 3, a100: 1.5}
parameters:
  tp: {values: [1, 2]}
  gpu: {values: [h100, a100], place: deploy.node_class}
baseline: {tp: 1, gpu: a100}
workload: {scenario: "D(48,64)", concurrency: 16}
objective: {minimize: cost_per_million_output_tokens}
"""


@pytest.fixture
def read(tmp_path):
    def made(*sets, text=TEXT):
        (tmp_path / "e.yaml").write_text(text)
        return load_experiment(tmp_path / "e.yaml", sets)

    return made


def engine(experiment, *, production=False, **params):
    trial = trial_of(experiment, {"tp": 1, "gpu": "a100", **params})
    identity = Identity("production") if production else Identity(trial.name, {"autotuner.io/run": "r"})
    return inference_service(wanted_of(experiment), trial, identity=identity, mount=None, runtime=None)


def test_the_file_is_sound_comes_back_from_its_resolved_form_and_asks_for_nothing_unbuilt(read):
    experiment = read()
    refuse_unbuilt(experiment)
    assert read(text=experiment.resolved_yaml()) == experiment
    assert offline_findings(experiment) == []


def test_a_trial_is_in_the_queue_and_production_is_neither_in_it_nor_of_the_trials_rank(read):
    experiment = read()
    trial, production = engine(experiment), engine(experiment, production=True)
    assert trial["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "tuning"
    assert trial["spec"]["engine"]["priorityClassName"] == "low"
    assert "kueue" not in yaml.safe_dump(production)
    assert "priorityClassName" not in production["spec"]["engine"]


def test_accelerators_are_claimed_by_the_template_for_their_number_and_not_counted_besides(read):
    for tp in (1, 2):
        found = engine(read(), tp=tp)["spec"]["engine"]
        (claim,) = found["resourceClaims"]
        assert claim["resourceClaimTemplateName"] == f"gpus-{tp}"
        resources = found["runner"]["resources"]
        assert resources["claims"] == [{"name": claim["name"]}]
        assert resources["limits"] == {"nvidia.com/gpu": 0}  # a runtime's own count, merged key by key


def test_an_extended_resource_may_have_any_name(read):
    text = TEXT.replace('accelerator_claim: "gpus-{count}"', "gpu_resource: example.com/npu")
    found = engine(read(text=text), tp=2)["spec"]["engine"]
    assert found["runner"]["resources"]["limits"] == {"example.com/npu": 2}
    assert "resourceClaims" not in found


def test_the_class_of_nodes_is_laid_beside_what_every_pod_has_and_has_its_price(read):
    experiment = read()
    h100, a100 = (engine(experiment, gpu=gpu)["spec"]["engine"] for gpu in ("h100", "a100"))
    assert h100["nodeSelector"] == {"pool": "tuning", "gpu": "h100"}
    assert [t["key"] for t in h100["tolerations"]] == ["pool", "gpu"]
    assert a100["nodeSelector"] == {"pool": "tuning", "gpu": "a100"}
    assert [t["key"] for t in a100["tolerations"]] == ["pool"]
    assert "args" in h100["runner"] and "h100" not in h100["runner"]["args"]
    assert [experiment.space.price_per_hour({"tp": 1, "gpu": gpu}) for gpu in ("h100", "a100")] == [3, 1.5]


FAULTS = {
    "deploy.accelerator_claim=gpus": "got 'gpus'; would be right: a template for each number",
    "deploy.accelerator_claim=A{n}": "would be right: a ResourceClaimTemplate's name such as gpus-{count}",
    "deploy.gpu_resource=amd.com/gpu": "would be right: without it; deploy.accelerator_claim claims them",
    "deploy.queue=A_b": "deploy.queue: got 'A_b'; would be right: 1 to 63 lower case letters",
    "deploy.pod.labels={kueue.x-k8s.io/queue-name: x}": "would be right: one of both",
    "parameters.gpu.values=[h100, h10]": "parameters.gpu.values[1]: got 'h10'; would be right: a class of",
    "deploy.node_classes=null": "got deploy.node_class; would be right: deploy.node_classes beside it",
    "parameters.gpu.place=deploy.class": "storage.pvc_subpath, deploy.node_class, or a template of your own",
    "parameters.gpu={values: [h100, a100]}": "deploy.node_classes: got h100, a100; would be right: a param",
}


@pytest.mark.parametrize("change", FAULTS)
def test_what_is_wrong_with_them_is_one_line(read, change):
    with pytest.raises(SpecError) as seen:
        read(change)
    assert FAULTS[change] in str(seen.value)
    assert "\n" not in str(seen.value)


def test_another_backend_has_none_of_them(read):
    text = "name: d\nmodel: {synthetic: {}}\ndeploy: {backend: local, queue: x}\n"
    text += 'parameters: {a: {values: [1]}}\nworkload: {scenario: "D(8,8)", concurrency: 1}\n'
    with pytest.raises(SpecError, match=r"deploy\.queue: .*a key of backend ome or kubernetes"):
        read(text=text)


# -- waiting ---------------------------------------------------------------------------------------


def gated(*gates, queue="tuning", node=""):
    labels = {"autotuner.io/experiment-id": "r-t0001-a1"}
    labels |= {"kueue.x-k8s.io/queue-name": queue} if queue else {}
    condition = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "gated"}
    spec = {"containers": [{"name": "engine"}], "schedulingGates": [{"name": gate} for gate in gates]}
    return {
        "metadata": {"name": "t-1-x", "uid": "p", "labels": labels},
        "spec": spec | ({"nodeName": node} if node else {}),
        "status": {"phase": "Pending", "conditions": [condition] if gates else []},
    }


def event(reason, message, *, kind="Workload", name="pod-t-1-x-12ab3", uid="w"):
    about = {"kind": kind, "name": name, "uid": uid}
    return Arrived({"reason": reason, "message": message, "involvedObject": about}, 0.0)


def course():
    return Course(
        service=False,
        container="engine",
        deadlines=Deadlines(schedule_seconds=600, image_seconds=5, ready_seconds=5),
        created=0.0,
        log=lambda pod, container, previous: "",
    )


def seen(*pods, events=()):
    return Seen(pods=pods, deployments=({"metadata": {"name": "t", "uid": "d"}},), events=events, listed=True)


KUEUE = "kueue.x-k8s.io/admission"


def test_a_gated_pod_waits_outside_every_deadline_but_the_queues_and_says_on_what():
    looked = course()
    for now in (0, 5, 100, 599):
        found = looked.look(seen(gated(KUEUE)), now=now)
        assert found == Waiting(f"waiting to be admitted to queue tuning (gate {KUEUE})")
    found = looked.look(seen(gated(KUEUE)), now=601)
    assert (type(found), found.failure.kind) == (DeployInterrupted, FailureClass.UNSCHEDULABLE)


def test_what_kueue_says_of_it_is_told():
    why = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu"
    events = (event("Pending", "earlier"), event("Pending", why), event("Pending", "other", name="pod-u-1-q"))
    found = course().look(seen(gated(KUEUE), events=events), now=1)
    assert found.what.endswith(f"(gate {KUEUE}): {why}")
    assert said_by_queue(seen(gated(KUEUE), events=(event("Pending", "x", kind="Pod"),)), gated(KUEUE)) == ""
    assert is_of_queue(event("Pending", "x").found, "t-1")
    assert not is_of_queue(event("Pending", "x", kind="Pod").found, "t-1")


def test_a_gate_of_somebody_else_is_named():
    assert held_back(gated("example.com/review", queue="")) == (
        "for its scheduling gate to be taken away: example.com/review"
    )
    assert held_back(gated(queue="tuning")) == ""


def test_the_run_holds_back_while_a_trial_waits_for_its_queue_or_for_devices():
    assert room_wanted([gated(KUEUE)], "nvidia.com/gpu") == (
        f"r-t0001-a1 waits to be admitted to queue tuning (gate {KUEUE})"
    )
    lacking = gated(queue="")
    message = "0/2 nodes are available: 2 cannot allocate all claims. still not schedulable, preemption: none"
    lacking["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    ]
    assert room_wanted([lacking], "nvidia.com/gpu").startswith(
        "r-t0001-a1 waits for accelerators to claim: 0/2"
    )
    assert isinstance(course().look(seen(lacking), now=500), Waiting)


def test_a_template_of_claims_that_is_not_there_stops_the_run():
    lacking = gated(queue="")
    said = 'PodResourceClaim accelerators: resource claim template "gpus-2": not found'
    events = (event("FailedResourceClaimCreation", said, kind="Pod", name="t-1-x", uid="p"),)
    looked = course()
    assert isinstance(looked.look(seen(lacking, events=events), now=1), Waiting)
    found = looked.look(seen(lacking, events=events), now=5)
    assert (type(found), found.failure.kind) == (BackendBroken, FailureClass.UNSCHEDULABLE)
    assert "would be right: deploy.accelerator_claim" in found.failure.message


def test_what_the_nodes_of_its_class_could_never_hold_is_told_though_others_could():
    def node(name, kind, count):
        ready = [{"type": "Ready", "status": "True"}]
        status = {"conditions": ready, "allocatable": {"nvidia.com/gpu": count}}
        return {"metadata": {"name": name, "labels": {"gpu": kind}}, "spec": {}, "status": status}

    pod = gated(queue="")
    pod["spec"] |= {
        "nodeSelector": {"gpu": "a100"},
        "containers": [{"name": "engine", "resources": {"limits": {"nvidia.com/gpu": 8}}}],
    }
    nodes = [node("n1", "h100", 8), node("n2", "a100", 4)]
    assert too_large(pod, nodes) == "it asks for 8 nvidia.com/gpu, and no node has more than 4"
    assert too_large(pod, nodes[:1]) == ""  # none of its class: another thing to say


# -- preemption ------------------------------------------------------------------------------------


def taken(kind, reason):
    pod = gated(queue="", node="node1")
    status = {
        "name": "engine",
        "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        "restartCount": 0,
    }
    condition = {"type": kind, "status": "True", "reason": reason, "message": "somebody comes first"}
    pod["status"] = {"phase": "Running", "conditions": [condition], "containerStatuses": [status]}
    return pod


@pytest.mark.parametrize(
    ("kind", "reason", "expected"),
    [
        ("DisruptionTarget", "PreemptionByScheduler", FailureClass.PREEMPTED),
        ("DisruptionTarget", "EvictionByEvictionAPI", FailureClass.NODE_FAULT),
        ("DisruptionTarget", "DeletionByTaintManager", FailureClass.NODE_FAULT),
        ("TerminationTarget", "WorkloadEvictedDueToPreempted", FailureClass.PREEMPTED),
    ],
)
def test_who_took_a_pod_away_is_told_apart_on_its_way_up_and_under_load(kind, reason, expected):
    pod = taken(kind, reason)
    found = course().look(seen(pod), now=1)
    assert (type(found), found.failure.kind) == (DeployInterrupted, expected)
    was = {**pod, "status": {**pod["status"], "conditions": []}}
    log = {"log": lambda pod, container, previous: "", "seconds_since_ready": 9.0}
    under_load = fate([pod], was=was, container="engine", **log)
    assert under_load.kind is expected and reason in under_load.message
