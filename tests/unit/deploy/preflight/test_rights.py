"""The rights that are written down are those that are granted, no more and no fewer."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tuner.deploy.kubernetes.rights import RIGHTS, granted, needed

CLUSTER = Path(__file__).parents[4] / "cluster"


def _of(file: str, kind: str) -> list[tuple[str, str, str]]:
    documents = yaml.safe_load_all((CLUSTER / file).read_text())
    (role,) = [each for each in documents if each["kind"] == kind]
    return [
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


@pytest.mark.parametrize(
    ("file", "kind", "everywhere"),
    [("rbac.yaml", "Role", False), ("rbac-optional.yaml", "ClusterRole", True)],
)
def test_the_roles_grant_exactly_what_is_used(file, kind, everywhere):
    given, used = _of(file, kind), list(granted(everywhere=everywhere))
    assert set(given) == set(used)
    assert len(given) == len(set(given))


def test_nothing_cluster_wide_is_essential_or_changes_anything():
    for right in RIGHTS:
        if right.everywhere:
            assert not right.essential
            assert set(right.verbs) <= {"get", "list", "watch"}


def test_each_backend_needs_the_rights_to_make_its_own_trials_alone():
    def creates(backend):
        return {r.plural for r in needed(backend) if "create" in r.verbs and r.essential}

    assert creates("ome") == {"inferenceservices", "leases"}
    assert creates("kubernetes") == {"deployments", "services", "leases"}
    assert not any(r.resource.group == "ome.io" for r in needed("kubernetes"))
