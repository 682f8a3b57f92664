"""Nodes, volume and quotas against what a search asks for: each finding with its remedy."""

from __future__ import annotations

import dataclasses

import pytest

from tuner.deploy.kubernetes.preflight import findings
from tuner.deploy.kubernetes.wanted import Demand

GPU = "nvidia.com/gpu"


@pytest.fixture
def found(cluster, wanted, trial):
    """`found("error", fewest=1, widest=4, parallel=2)`: the lines of a level for such a search."""

    def lines(level, *, fewest=1, widest=1, parallel=None, **sections):
        wide = dataclasses.replace(trial, accelerators=widest)
        demand = Demand(parallel, fewest, wide, ("m",))
        made = findings(cluster, wanted(demand=demand, **sections), trial, sleep=lambda seconds: None)
        return [finding.line for finding in made if finding.level == level]

    return lines


def test_a_cluster_with_room_gives_neither_error_nor_warning(found):
    assert found("error", widest=8, parallel=16) == found("warning", widest=8, parallel=16) == []
    assert any("take 16 of the narrowest trials at once" in line for line in found("ok", widest=8))


def test_a_trial_wider_than_any_node_is_an_error_that_says_how_wide_may_be(cluster, found):
    cluster.nodes = [cluster.node("n1", gpus=4), cluster.node("n2", gpus=2)]
    (line,) = found("error", widest=8)
    assert line == (
        f"room: the widest trial asks for 8 {GPU}, and no node that it may use has more than 4; would be "
        "right: parameters and constraints that keep deploy.accelerators to 4"
    )


def test_nodes_without_accelerators_are_an_error_unless_a_person_says_how_many_there_will_be(cluster, found):
    cluster.nodes = [cluster.node("n1", gpus=0)]
    assert "a device plugin" in found("error")[0]
    assert found("error", deploy={"serving_gpu": 8}) == []
    assert any(f"asks for 1 {GPU}" in line for line in found("warning", deploy={"serving_gpu": 8}))


def test_memory_that_no_node_has_is_told_in_the_units_it_is_written_in(found):
    deploy = {"pod": {"resources": {"requests": {"memory": "128Gi"}}}}
    assert (
        "asks for 128Gi memory, and no node that it may use has more than 64Gi"
        in found("error", deploy=deploy)[0]
    )


def test_more_at_once_than_empty_nodes_take_is_an_error_that_says_how_many(found):
    (line,) = found("error", fewest=4, widest=8, parallel=5)
    assert "search.parallel is 5, and nodes that are empty take 4 at once" in line
    assert line.endswith("would be right: search.parallel: 4, or auto")
    told = {"serving_gpu": 20}  # nodes appear on demand
    assert found("error", fewest=4, widest=8, parallel=5, deploy=told) == []
    assert any("take 4 at once" in w for w in found("warning", fewest=4, widest=8, parallel=5, deploy=told))


def test_what_others_hold_makes_trials_wait_and_is_a_warning(cluster, found):
    container = {"name": "x", "resources": {"limits": {GPU: "7"}}}
    cluster.pods = [
        {"metadata": {"name": node}, "spec": {"nodeName": node, "containers": [container]}, "status": {}}
        for node in ("n1", "n2")
    ]
    assert found("warning", parallel=2) == []
    assert found("error", fewest=4, widest=4) == []
    assert any(f"2 of 16 {GPU} are free at this moment" in line for line in found("warning", fewest=4))


def test_labels_that_no_node_has_and_taints_that_are_not_tolerated_are_told_apart(cluster, found):
    assert any(
        "none has the labels that trials' pods ask for (pool=a)" in line
        for line in found("error", deploy={"pod": {"node_selector": {"pool": "a"}}})
    )
    cluster.nodes = [cluster.node("n1", taint=f"{GPU}:NoSchedule")]
    (line,) = found("error")
    assert line.endswith(f"{GPU}:NoSchedule; would be right: deploy.pod.tolerations with {GPU}")
    tolerated = {"pod": {"tolerations": [{"key": GPU, "operator": "Exists"}]}}
    assert found("error", deploy=tolerated) == []


def test_what_admission_lets_the_pod_tolerate_counts(cluster, found):
    cluster.nodes = [cluster.node("n1", taint=f"{GPU}:NoSchedule")]
    known = cluster.admit

    def tolerating(pod):  # as the API server's ExtendedResourceToleration does
        pod["spec"]["tolerations"] = [{"key": GPU, "operator": "Exists"}]
        return known(pod)

    cluster.admit = tolerating
    assert found("error") == []


def test_nodes_that_are_not_ready_do_not_count(cluster, found):
    for node in cluster.nodes:
        node["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    assert any(line.startswith("nodes: none is ready") for line in found("error"))


def of_volume(cluster, **spec):
    cluster.objects["persistentvolumeclaims", "c"]["spec"]["volumeName"] = "v"
    cluster.put("persistentvolumes", "v", spec=spec)


def affinity(*names):
    rule = {"key": "kubernetes.io/hostname", "operator": "In", "values": list(names)}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}}


def test_a_volume_that_no_node_with_accelerators_reaches_is_an_error_that_names_both(cluster, found):
    cluster.nodes = [cluster.node("n1", gpus=0), cluster.node("n2")]
    of_volume(cluster, nodeAffinity=affinity("n1"))
    (line,) = found("error")
    assert line.startswith(
        "volume v: no node that trials may use reaches it: it is on kubernetes.io/hostname In n1"
    )
    assert "the nodes are n2; would be right: a volume that these nodes mount" in line
    of_volume(cluster, nodeAffinity=affinity("n2"))
    assert found("error") == found("warning") == []


def test_a_volume_of_another_zone_is_not_reached(cluster, found):
    cluster.nodes = [cluster.node("n1", **{"topology.kubernetes.io/zone": "b"})]
    of_volume(cluster)
    cluster.objects["persistentvolumes", "v"]["metadata"]["labels"] = {"topology.kubernetes.io/zone": "a__c"}
    assert any("it is on topology.kubernetes.io/zone=a__c" in line for line in found("error"))
    cluster.nodes = [cluster.node("n1", **{"topology.kubernetes.io/zone": "c"})]
    assert found("error") == []


def test_a_volume_that_some_nodes_do_not_reach_is_a_warning_and_room_counts_the_others(cluster, found):
    of_volume(cluster, nodeAffinity=affinity("n1"))
    assert any("1 of the 2 nodes that trials may use do not reach it (n2)" in w for w in found("warning"))
    assert any("take 8 at once" in line for line in found("error", parallel=9))


def quota(cluster, hard, used=None, **spec):
    cluster.put("resourcequotas", "q", spec={"hard": hard, **spec}, status={"used": used or {}})


def test_a_quota_below_the_widest_trial_is_an_error(cluster, found):
    quota(cluster, {f"requests.{GPU}": "2"})
    (line,) = found("error", widest=4)
    assert f"quota q: the widest trial takes 4 requests.{GPU}, and it allows 2; would be right: " in line
    assert found("error", widest=2, parallel=2) == []


def test_a_quota_below_so_many_at_once_is_an_error_that_says_how_many(cluster, found):
    quota(cluster, {f"requests.{GPU}": "5"})
    (line,) = found("error", fewest=2, widest=2, parallel=3)
    assert line.endswith("would be right: search.parallel: 2, or a larger quota")
    quota(cluster, {"pods": "1"})
    assert any("each takes at least 1 pods" in line for line in found("error", parallel=2))


def test_a_quota_that_others_have_used_up_is_a_warning(cluster, found):
    quota(cluster, {f"requests.{GPU}": "4"}, used={f"requests.{GPU}": "4"})
    assert any(f"others use 4 of 4 requests.{GPU}" in line for line in found("warning"))
    assert found("error") == []


def test_a_quota_of_another_scope_is_not_the_trials(cluster, found):
    only = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}
    quota(cluster, {f"requests.{GPU}": "0"}, scopeSelector=only)
    assert found("error") == []
    quota(cluster, {"pods": "0"}, scopes=["BestEffort"])
    assert found("error") == []
    quota(cluster, {"pods": "0"}, scopes=["NotTerminating"])
    assert found("error") != []


def test_without_the_rights_nothing_is_said_but_that_they_are_missing(cluster, found):
    cluster.nodes = [cluster.node("n1", gpus=0)]
    quota(cluster, {"pods": "0"})
    cluster.forbidden = {("list", "nodes"), ("list", "resourcequotas")}
    assert found("error") == []
    warned = "\n".join(found("warning"))
    assert "right to list resourcequotas" in warned
    assert "right to list nodes" in warned
