"""The volume behind the claim against the nodes that trials may use: by its node affinity, by its zone."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.deploy.kubernetes import pod_view as view
from tuner.deploy.kubernetes.checks.finding import Finding, fault, ok, warning
from tuner.deploy.kubernetes.checks.site import Site
from tuner.deploy.kubernetes.placement import reaches, where_it_is
from tuner.deploy.kubernetes.wanted import Manifest

_NAMED = 4


def volume(site: Site) -> Iterator[Finding]:
    """Whether a node with accelerators reaches it; nothing where volume or nodes may not be seen."""
    if site.volume is None or not site.candidates:  # a node that is missing altogether is `room`'s to say
        return
    subject = f"volume {view.name(site.volume)}"
    apart = [node for node in site.candidates if not reaches(node, site.volume)]
    where = where_it_is(site.volume)
    if not site.places:
        elsewhere = [node for node in site.nodes or () if reaches(node, site.volume)]
        yield fault(
            subject,
            f"no node that trials may use reaches it: it is on {where}; the nodes are {_names(apart)}",
            "a volume that these nodes mount, or trials where it is"
            + (f": deploy.pod.node_selector of {_names(elsewhere)}" if elsewhere else ""),
        )
    elif apart:
        text = f"{len(apart)} of the {len(site.candidates)} nodes that trials may use do not reach it"
        yield warning(
            subject,
            f"{text} ({_names(apart)}): it is on {where}",
            "a volume that all of them mount, or fewer trials at once",
        )
    else:
        yield ok(subject, f"is reached from {_names(site.places)}")


def _names(nodes: list[Manifest]) -> str:
    named = [view.name(node) for node in nodes[:_NAMED]]
    return ", ".join(named) + (f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else "")
