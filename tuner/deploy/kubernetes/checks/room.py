"""Room for trials: a node that takes the widest of them, and nodes for as many at once as are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from tuner.deploy.kubernetes import placement
from tuner.deploy.kubernetes.capacity import allocatable, amount, at_once, free, requests
from tuner.deploy.kubernetes.checks.finding import Finding, Level, fault, mistake, ok, warning
from tuner.deploy.kubernetes.checks.look import listed
from tuner.deploy.kubernetes.checks.site import Site
from tuner.deploy.kubernetes.resources import POD
from tuner.deploy.kubernetes.wanted import Manifest

_LABELS = "deploy.pod.node_selector of nodes that there are (`kubectl get nodes --show-labels`)"


def room(site: Site) -> Iterator[Finding]:
    """What is to be said of it; nothing where nodes may not be listed, or the trials' pod is not known."""
    if site.nodes is None or site.pod is None:
        return
    if not site.nodes:
        yield fault("nodes", "none is ready and takes pods", "`kubectl get nodes` with one that is Ready")
        return
    nodes, asked = _taken_by(site), requests(site.pod)
    if isinstance(nodes, Finding):
        yield nodes
        return
    if at_once(asked, nodes) == 0:
        yield _too_wide(site, nodes, asked)
        return
    narrow = asked | ({site.wanted.deploy.gpu_resource: Decimal(site.fewest)} if site.fewest else {})
    places = [node for node in nodes if site.volume is None or placement.reaches(node, site.volume)]
    if not places:
        return  # the volume's to say
    most, parallel = at_once(narrow, places), site.demand.parallel
    if parallel is not None and most is not None and most < parallel:
        text = f"search.parallel is {parallel}, and nodes that are empty take {most} at once"
        found = mistake("room", f"{text} ({_list(narrow)} each)", f"search.parallel: {most}, or auto")
        yield _unless_told(site, found, needed=site.fewest * parallel)
    elif waiting := _held(site, places):
        yield waiting
    else:
        yield ok(
            "room", f"nodes take {'any number' if most is None else most} of the narrowest trials at once"
        )


def _taken_by(site: Site) -> list[Manifest] | Finding:
    """The nodes that let the pod on; why there are none."""
    spec = site.spec
    labelled = [node for node in site.nodes or () if placement.labels_match(node, spec)]
    if not labelled:
        chosen = ", ".join(f"{k}={v}" for k, v in (spec.get("nodeSelector") or {}).items())
        text = f"none has the labels that trials' pods ask for ({chosen or 'by the affinity of the runtime'})"
        return mistake("nodes", text, _LABELS)
    taints = [placement.taint_in_the_way(node, spec) for node in labelled]
    if all(taints):
        text = f"each that trials may use has a taint that their pods do not tolerate: {taints[0]}"
        return mistake("nodes", text, f"deploy.pod.tolerations with {taints[0].partition(':')[0]}")
    return [node for node, taint in zip(labelled, taints, strict=True) if not taint]


def _too_wide(site: Site, nodes: list[Manifest], asked: dict[str, Decimal]) -> Finding:
    for key, value in sorted(asked.items(), key=lambda item: item[0] != site.wanted.deploy.gpu_resource):
        most = max(allocatable(node, key) for node in nodes)
        if value > most:
            break
    else:
        key, value, most = "", Decimal(), Decimal()
    if not key:
        text = f"the widest trial asks for {_list(asked)}, and no node has all of it"
        return mistake("room", text, "smaller deploy.pod.resources, or fewer accelerators")
    has = (
        f"no node that it may use has more than {amount(key, most)}"
        if most
        else "no node that it may use has any"
    )
    text = f"the widest trial asks for {amount(key, value)} {key}, and {has}"
    if key != site.wanted.deploy.gpu_resource:
        return mistake("room", text, f"deploy.pod.resources with at most {amount(key, most)} {key}")
    if not most:
        remedy = f"nodes that advertise {key} (a device plugin), or deploy.gpu_resource as they call it"
        return _unless_told(site, mistake("room", text, remedy), needed=int(value))
    return mistake(
        "room", text, f"parameters and constraints that keep deploy.accelerators to {amount(key, most)}"
    )


def _unless_told(site: Site, found: Finding, *, needed: int) -> Finding:
    """A warning where a person has said that there will be so many accelerators: nodes appear on demand."""
    told = site.wanted.deploy.serving_gpu or 0
    return replace(found, level=Level.WARNING, persons=False) if told >= needed > 0 else found


def _held(site: Site, places: list[Manifest]) -> Finding | None:
    """That others hold so many accelerators that trials wait; None where they do not, or none may see."""
    resource, demand = site.wanted.deploy.gpu_resource, site.demand
    pods = listed(site.cluster, POD, everywhere=True) if site.fewest else None
    if pods is None:
        return None
    everything = int(sum(allocatable(node, resource) for node in places))
    left = free(places, pods, resource=resource, ours=lambda pod: False)
    if left >= site.fewest * (demand.parallel or 1):
        return None
    text = (
        f"{left} of {everything} {resource} are free at this moment: trials wait until others give some back"
    )
    return warning("room", text, "to wait, or a smaller search.parallel")


def _list(asked: dict[str, Decimal]) -> str:
    return ", ".join(f"{amount(key, value)} {key}" for key, value in sorted(asked.items()) if value)
