"""The namespace's ResourceQuotas: whether they allow the widest trial, and as many at once as asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from tuner.deploy.kubernetes import pod_view as view
from tuner.deploy.kubernetes.capacity import amount, limits, quantity, requests
from tuner.deploy.kubernetes.checks.finding import Finding, mistake, ok, warning
from tuner.deploy.kubernetes.checks.look import listed
from tuner.deploy.kubernetes.checks.site import Site
from tuner.deploy.kubernetes.resources import RESOURCE_QUOTA
from tuner.deploy.kubernetes.wanted import Manifest

_MADE = {  # objects of one trial, beside its pod
    "ome": {"inferenceservices.ome.io": 1, "deployments.apps": 1, "replicasets.apps": 1, "services": 2},
    "kubernetes": {"deployments.apps": 1, "replicasets.apps": 1, "services": 1},
}
_OF_SCOPE = {
    "NotTerminating": True,  # a trial's pods have no deadline
    "Terminating": False,
    "CrossNamespacePodAffinity": False,
}


def quotas(site: Site) -> Iterator[Finding]:
    """What is to be said of those that hold for trials; nothing where they may not be listed."""
    found = listed(site.cluster, RESOURCE_QUOTA)
    if not found or site.pod is None:
        return
    resource = site.wanted.deploy.gpu_resource
    wide = _usage(site.pod, site.wanted.deploy.backend)
    fewest = {f"{part}.{resource}": Decimal(site.fewest) for part in ("requests", "limits")}
    narrow = {**wide, **(fewest if site.fewest else {})}
    for quota in found:
        if _holds(quota, site.pod):
            yield from _of_one(site, quota, wide=wide, narrow=narrow)


def _of_one(
    site: Site, quota: Manifest, *, wide: Mapping[str, Decimal], narrow: Mapping[str, Decimal]
) -> Iterator[Finding]:
    subject = f"quota {view.name(quota)}"
    hard = {key: quantity(value) for key, value in (quota["spec"].get("hard") or {}).items()}
    used = {k: quantity(v) for k, v in (quota.get("status", {}).get("used") or {}).items()}
    held, parallel, errors = [], site.demand.parallel, False
    for key, most in sorted(hard.items()):
        one, least = wide.get(key, Decimal()), narrow.get(key, Decimal())
        if one > most:
            errors = True
            text = f"the widest trial takes {amount(key, one)} {key}, and it allows {amount(key, most)}"
            yield mistake(subject, text, "a larger quota, or a narrower widest trial")
        elif parallel is not None and least * parallel > most:
            errors = True
            each, fits = f"{amount(key, least)} {key}", int(most // least)
            text = f"search.parallel is {parallel}, each takes at least {each}, of {amount(key, most)} in all"
            yield mistake(subject, text, f"search.parallel: {fits}, or a larger quota")
        elif least and used.get(key, Decimal()) + least > most:
            held.append(f"{amount(key, used.get(key, Decimal()))} of {amount(key, most)} {key}")
    if held:
        text = f"others use {', '.join(held)}: trials wait until some are given back"
        yield warning(subject, text, "to wait, or a larger quota")
    elif not errors:
        yield ok(subject, "allows what trials take")


def _usage(pod: Manifest, backend: str) -> dict[str, Decimal]:
    """What a quota counts of one trial, by the quota's own words for it."""
    asked, most = requests(pod), limits(pod)
    found = {f"requests.{key}": value for key, value in asked.items()}
    found |= {f"limits.{key}": value for key, value in most.items()}
    found |= {key: asked[key] for key in ("cpu", "memory", "ephemeral-storage") if key in asked}
    made = {**_MADE[backend], "pods": 1}
    found |= {f"count/{key}": Decimal(count) for key, count in made.items()}
    found |= {key: Decimal(made[key]) for key in ("pods", "services")}
    return found


def _holds(quota: Manifest, pod: Manifest) -> bool:
    """Whether it counts such pods; one whose scopes are not understood is taken to."""
    rules: list[dict[str, Any]] = [{"scopeName": name} for name in quota["spec"].get("scopes") or ()]
    rules += (quota["spec"].get("scopeSelector") or {}).get("matchExpressions") or ()
    return all(_in_scope(rule, pod) for rule in rules)


def _in_scope(rule: Mapping[str, Any], pod: Manifest) -> bool:
    name, values = str(rule["scopeName"]), rule.get("values") or ()
    best_effort = not any(requests(pod).values())
    if name in ("BestEffort", "NotBestEffort"):
        return best_effort == (name == "BestEffort")
    if name == "PriorityClass":
        given = pod["spec"].get("priorityClassName")
        match rule.get("operator", "Exists"):
            case "In":
                return bool(given in values)
            case "NotIn":
                return bool(given not in values)
            case "DoesNotExist":
                return given is None
        return given is not None
    return _OF_SCOPE.get(name, True)
