"""Which nodes could take a pod, and which of them reach a volume: labels, affinity, taints, zones. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tuner.deploy.kubernetes import pod_view as view

Json = dict[str, Any]

_KEEPS_OFF = ("NoSchedule", "NoExecute")
_BETA = "failure-domain.beta.kubernetes.io/"  # of volumes and nodes of before Kubernetes 1.17
_TOPOLOGY = "topology.kubernetes.io/"
_ZONES = (f"{_TOPOLOGY}zone", f"{_TOPOLOGY}region")


def usable(node: Json) -> bool:
    """Whether it is ready and takes pods at all."""
    return view.holds(node, "Ready") and not node["spec"].get("unschedulable")


def labels_match(node: Json, spec: Json) -> bool:
    """Whether the node has the labels that the pod's selector and required affinity ask for."""
    labels = _labels(node)
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or _any_term(required.get("nodeSelectorTerms") or (), node)


def taint_in_the_way(node: Json, spec: Json) -> str:
    """The first taint that keeps the pod off, as kubectl writes it; "" for none."""
    tolerations = spec.get("tolerations") or ()
    for taint in node["spec"].get("taints") or ():
        if taint.get("effect") in _KEEPS_OFF and not any(_tolerates(one, taint) for one in tolerations):
            value = f"={taint['value']}" if taint.get("value") else ""
            return f"{taint['key']}{value}:{taint['effect']}"
    return ""


def reaches(node: Json, volume: Json) -> bool:
    """Whether the volume can be mounted on the node, by its node affinity and its zone."""
    required = ((volume["spec"].get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms")
    if required is not None and not _any_term(required, node):
        return False
    own, zones = _topology(node), _topology(volume)
    return not own or all(own.get(key) in value.split("__") for key, value in zones.items())


def where_it_is(volume: Json) -> str:
    """What a volume's node affinity or zone asks of a node, one line; "" for nothing."""
    terms = ((volume["spec"].get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms") or ()
    told = []
    for term in terms:
        rules = [*(term.get("matchExpressions") or ()), *(term.get("matchFields") or ())]
        told.append(" and ".join(_told(rule) for rule in rules))
    zones = [f"{key}={value}" for key, value in _topology(volume).items()]
    return "; ".join(part for part in (" or ".join(told), ", ".join(zones)) if part)


def _labels(found: Json) -> Mapping[str, str]:
    return found["metadata"].get("labels") or {}


def _topology(found: Json) -> dict[str, str]:
    labels = _labels(found)
    both = {key: labels.get(key) or labels.get(key.replace(_TOPOLOGY, _BETA)) for key in _ZONES}
    return {key: value for key, value in both.items() if value}


def _any_term(terms: Iterable[Json], node: Json) -> bool:
    fields = {"metadata.name": view.name(node)}
    for term in terms:
        rules, names = term.get("matchExpressions") or (), term.get("matchFields") or ()
        both = [_holds(rule, _labels(node)) for rule in rules] + [_holds(rule, fields) for rule in names]
        if both and all(both):  # a term that says nothing matches nothing
            return True
    return False


def _holds(rule: Json, labels: Mapping[str, str]) -> bool:
    found, values = labels.get(rule["key"]), list(map(str, rule.get("values") or ()))
    operator = str(rule.get("operator"))
    if operator in ("Exists", "DoesNotExist"):
        return (found is not None) == (operator == "Exists")
    if operator in ("In", "NotIn"):
        return (found in values) == (operator == "In")
    try:
        mine, theirs = int(found or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return mine > theirs if operator == "Gt" else mine < theirs


def _tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    key = toleration.get("key")
    if toleration.get("operator") == "Exists":
        return key in (None, "", taint["key"])
    return bool(key == taint["key"] and (toleration.get("value") or "") == (taint.get("value") or ""))


def _told(rule: Json) -> str:
    values = ", ".join(rule.get("values") or ())
    return f"{rule['key']} {rule.get('operator')} {values}".strip()
