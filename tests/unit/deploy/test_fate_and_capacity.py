"""What became of a deployment that had served; how many accelerators are free, and who waits for them."""

from __future__ import annotations

import copy

import pytest

from tuner.deploy.kubernetes.capacity import free, room_wanted, too_large
from tuner.deploy.kubernetes.fate import fate
from tuner.errors import FailureClass

GPU = "nvidia.com/gpu"


def pod(*, uid="p", node="node1", gpus=0, phase="Running", **more):
    container = {"name": "engine", "resources": {"limits": {GPU: str(gpus)} if gpus else {}}}
    status = {
        "phase": phase,
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "engine", "ready": True, "restartCount": 0, "state": {"running": {}}}],
    }
    spec = {"containers": [container]} | ({"nodeName": node} if node else {})
    return {"metadata": {"name": f"t-{uid}", "uid": uid, **more}, "spec": spec, "status": status}


def changed(**status):
    found = pod()
    found["status"]["containerStatuses"][0] |= status
    return found


def became(*pods, log="segfault at 0"):
    return fate(
        pods,
        was=pod(),
        container="engine",
        log=lambda pod, container, previous: f"{log} previous={previous}",
        seconds_since_ready=12.0,
    )


def terminated(code, reason="Error"):
    return {"terminated": {"exitCode": code, "reason": reason}}


def test_the_same_pod_with_the_same_process_serves_on():
    assert became(pod()) is None
    busy = pod()
    busy["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    busy["status"]["containerStatuses"][0]["ready"] = False
    assert became(busy) is None  # its probe times out under load: no failure by itself


FATES = {
    "restarted": (
        changed(restartCount=1, lastState=terminated(77)),
        FailureClass.CRASH_UNDER_LOAD,
        "ended with code 77 12.0 s after it was ready",
    ),
    "ended just now": (changed(state=terminated(139)), FailureClass.CRASH_UNDER_LOAD, "SIGSEGV"),
    "out of memory": (
        changed(restartCount=1, lastState=terminated(137, "OOMKilled")),
        FailureClass.OOM_KILLED,
        "want of host memory",
    ),
    "restarted, nobody knows how": (
        changed(restartCount=1, state={"running": {}}),
        FailureClass.CRASH_UNDER_LOAD,
        "started again",
    ),
    "another pod": (pod(uid="q"), FailureClass.NODE_FAULT, "in its place: t-q"),
    "deleted": (pod(deletionTimestamp="now"), FailureClass.NODE_FAULT, "deleted by somebody else"),
}


@pytest.mark.parametrize("row", FATES)
def test_what_changed_during_a_round_has_its_class(row):
    found, kind, text = FATES[row]
    failure = became(found)
    assert failure.kind is kind
    assert text in failure.message


def test_a_pod_that_is_gone_or_evicted_or_on_a_lost_node_is_the_nodes_fault():
    assert became().kind is FailureClass.NODE_FAULT
    evicted = pod(phase="Failed")
    evicted["status"]["reason"] = "Evicted"
    assert became(evicted).kind is FailureClass.NODE_FAULT
    lost = pod()
    lost["status"]["conditions"] = [{"type": "Ready", "status": "False"}]  # the kubelet still says ready
    assert "no longer tells" in became(lost).message


def test_the_log_is_that_of_the_process_that_ended():
    assert became(FATES["restarted"][0]).log_tail.endswith("previous=True")
    assert became(FATES["ended just now"][0]).log_tail.endswith("previous=False")
    out = became(FATES["restarted"][0], log="CUDA out of memory")
    assert out.kind is FailureClass.ACCELERATOR_OOM


def node(name, gpus, *, ready="True", cpu="4", **spec):
    status = {"allocatable": {GPU: str(gpus), "cpu": cpu}, "conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {"name": name}, "spec": spec, "status": status}


def test_free_accelerators_are_those_of_usable_nodes_less_what_others_hold():
    nodes = [
        node("node1", 8),
        node("node2", 8),
        node("node3", 8, ready="False"),
        node("node4", 8, unschedulable=True),
    ]
    pods = [
        pod(uid="theirs", node="node1", gpus=3),
        pod(uid="ours", node="node1", gpus=2),
        pod(uid="over", node="node2", gpus=4, phase="Succeeded"),
        pod(uid="pending", node="", gpus=8),
        pod(uid="elsewhere", node="node3", gpus=1),
    ]
    assert free(nodes, pods, resource=GPU, ours=lambda pod: pod["metadata"]["uid"] == "ours") == 13


def test_init_containers_count_where_they_ask_for_more():
    one = pod(gpus=2)
    one["spec"]["initContainers"] = [{"name": "i", "resources": {"requests": {GPU: "4"}}}]
    assert free([node("node1", 8)], [one], resource=GPU, ours=lambda pod: False) == 4


def test_what_no_node_could_take_even_empty_is_told():
    assert too_large(pod(node="", gpus=8), [node("node1", 8), node("node2", 4)]) == ""
    assert too_large(pod(node="", gpus=9), [node("node1", 8)]) == (
        f"it asks for 9 {GPU}, and no node has more than 8"
    )
    wide = pod(node="")
    wide["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "64000m"}}
    assert "64 cpu" in too_large(wide, [node("node1", 8)])
    assert too_large(pod(node="", gpus=9), []) == ""


def test_only_a_pod_that_waits_for_accelerators_or_its_queue_is_waited_for():
    def waiting(message, reason="Unschedulable"):
        found = pod(node="", labels={"autotuner.io/experiment-id": "r-t0003-a1"})
        condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
        found["status"]["conditions"] = [condition]
        return found

    full = waiting(f"0/2 nodes are available: 2 Insufficient {GPU}. preemption: no")
    assert room_wanted([pod(), full], GPU) == (
        f"r-t0003-a1 waits for {GPU}: 0/2 nodes are available: 2 Insufficient {GPU}."
    )
    assert "scheduling gate" in room_wanted([waiting("", "SchedulingGated")], GPU)
    assert room_wanted([waiting("0/2 nodes are available: 2 Insufficient cpu.")], GPU) == ""
    going = copy.deepcopy(full)
    going["metadata"]["deletionTimestamp"] = "now"
    assert room_wanted([going], GPU) == ""
