"""Selectors, affinity and taints are read as the scheduler reads them."""

from __future__ import annotations

import pytest

from tuner.deploy.kubernetes.placement import labels_match, reaches, taint_in_the_way, usable

NODE = {
    "metadata": {"name": "n1", "labels": {"pool": "a", "gpus": "8"}},
    "spec": {"taints": [{"key": "team", "value": "x", "effect": "NoSchedule"}]},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}


def asking(*terms):
    affinity = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"affinity": {"nodeAffinity": affinity}}


def rule(key, operator, *values):
    return {"key": key, "operator": operator, "values": list(values)}


@pytest.mark.parametrize(
    ("one", "holds"),
    [
        (rule("pool", "In", "a", "b"), True),
        (rule("pool", "NotIn", "a"), False),
        (rule("absent", "NotIn", "a"), True),
        (rule("pool", "Exists"), True),
        (rule("pool", "DoesNotExist"), False),
        (rule("gpus", "Gt", "7"), True),
        (rule("gpus", "Lt", "8"), False),
        (rule("pool", "Gt", "1"), False),
    ],
)
def test_an_expression_holds_or_does_not(one, holds):
    assert labels_match(NODE, asking({"matchExpressions": [one]})) is holds


def test_terms_are_alternatives_and_expressions_are_not():
    a, never = rule("pool", "In", "a"), rule("pool", "In", "z")
    assert labels_match(NODE, asking({"matchExpressions": [never]}, {"matchExpressions": [a]}))
    assert not labels_match(NODE, asking({"matchExpressions": [a, never]}))
    assert not labels_match(NODE, asking({}))
    assert labels_match(NODE, asking({"matchFields": [rule("metadata.name", "In", "n1")]}))


@pytest.mark.parametrize(
    ("toleration", "off"),
    [
        ({"operator": "Exists"}, ""),
        ({"key": "team", "operator": "Exists"}, ""),
        ({"key": "team", "value": "x"}, ""),
        ({"key": "team", "value": "y"}, "team=x:NoSchedule"),
        ({"key": "team", "value": "x", "effect": "NoExecute"}, "team=x:NoSchedule"),
        ({"key": "other", "operator": "Exists"}, "team=x:NoSchedule"),
    ],
)
def test_a_taint_keeps_off_what_does_not_tolerate_it(toleration, off):
    assert taint_in_the_way(NODE, {"tolerations": [toleration]}) == off


def test_a_cordoned_node_takes_nothing_and_one_without_a_zone_reaches_any_volume():
    assert usable(NODE)
    assert not usable({**NODE, "spec": {"unschedulable": True}})
    zoned = {"metadata": {"labels": {"failure-domain.beta.kubernetes.io/zone": "a"}}, "spec": {}}
    assert reaches(NODE, zoned)
    of_b = {**NODE, "metadata": {"name": "n", "labels": {"topology.kubernetes.io/zone": "b"}}}
    assert not reaches(of_b, zoned)
