"""With any one rule of the shipped roles taken away, the preflight names it: real RBAC, a real API server."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from kubernetes import client
from preflight_parts import TRIAL, base_model, cluster_of, serving_runtime, wanted_in

from tuner.deploy.kubernetes.checks.finding import Finding, Level
from tuner.deploy.kubernetes.preflight import findings
from tuner.deploy.kubernetes.rights import NAMESPACE_VERBS, RIGHTS

pytestmark = pytest.mark.cluster


@dataclass(frozen=True)
class Rule:
    """One verb on one kind, as a role grants it."""

    group: str
    plural: str
    verb: str
    everywhere: bool
    essential: bool
    backend: str

    def __str__(self) -> str:
        return f"{self.verb} {self.plural}{' everywhere' if self.everywhere else ''}"


RULES = [
    Rule(right.resource.group, right.plural, verb, right.everywhere, right.essential, right.backends[0])
    for right in RIGHTS
    for verb in right.verbs
] + [Rule("", "namespaces", verb, False, False, "ome") for verb in NAMESPACE_VERBS]


@pytest.fixture(scope="module")
def site(
    new_namespace: Callable[..., Any], apply: Callable[..., Any], ome_definitions: None, engine_parts: Any
) -> Iterator[Any]:
    """A namespace under the shipped account, with runtime and model."""
    with new_namespace("rules", reader=True) as made:
        apply([base_model(made), serving_runtime(made, engine_parts)])
        yield made


@contextmanager
def without(api: client.ApiClient, namespace: Any, rule: Rule) -> Iterator[None]:
    """The role as it ships, but for that verb on that kind."""
    rbac, name = client.RbacAuthorizationV1Api(api), namespace.name
    if rule.everywhere:
        name = f"autotuner-reader-{name}"
        read, change, where = rbac.read_cluster_role, rbac.patch_cluster_role, (name,)
    else:
        read, change, where = rbac.read_namespaced_role, rbac.patch_namespaced_role, (namespace.account, name)
    whole = api.sanitize_for_serialization(read(*where))["rules"]
    change(*where, {"rules": list(lessened(whole, rule))})
    try:
        yield
    finally:
        change(*where, {"rules": whole})


def lessened(rules: list[dict[str, Any]], rule: Rule) -> Iterator[dict[str, Any]]:
    """The rules without that verb on that kind, others of the same rule kept."""
    taken = 0
    for each in copy.deepcopy(rules):
        here = (
            rule.group in each["apiGroups"]
            and rule.plural in each["resources"]
            and rule.verb in each["verbs"]
        )
        if not here:
            yield each
            continue
        taken += 1
        others = [plural for plural in each["resources"] if plural != rule.plural]
        if others:
            yield {**each, "resources": others}
        if verbs := [verb for verb in each["verbs"] if verb != rule.verb]:
            yield {**each, "resources": [rule.plural], "verbs": verbs}
    assert taken == 1, f"{rule} stands in {taken} rules"


def wrong(namespace: Any, backend: str) -> list[Finding]:
    """What is found; a claim that is not there keeps pods from being made."""
    deploy = {"backend": backend, **({"image": "x", "runtime": None} if backend == "kubernetes" else {})}
    wanted = wanted_in(namespace, deploy=deploy, pvc_name="absent", mount="external")
    found = findings(cluster_of(namespace), wanted, TRIAL)
    return [
        finding for finding in found if finding.level is not Level.OK and finding.subject != "claim absent"
    ]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_rule_that_is_taken_away_is_named_with_what_is_lost_and_what_to_apply(rule, site, admin_api, until):
    with ExitStack() as taken:
        for one in RULES:  # what is given on the whole cluster is given in the namespace too
            if one == rule or (one.everywhere and (one.plural, one.verb) == (rule.plural, rule.verb)):
                taken.enter_context(without(admin_api, site, one))
        found = until(lambda: wrong(site, rule.backend), seconds=10, what=f"{rule} is missed")
        named = [each for each in found if rule.verb in each.line and rule.plural.split("/")[0] in each.line]
        assert named == found  # nothing else is said to be wrong
        assert any("cluster/rbac" in each.remedy for each in named)
        assert any(each.level is Level.ERROR for each in named) is rule.essential
    until(lambda: not wrong(site, rule.backend), seconds=10, what="it is given again")
