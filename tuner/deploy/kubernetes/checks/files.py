"""The model's files in the claim, listed by a pod that runs as engines do: whole, readable, how large."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tuner.deploy.kubernetes import pod_view as view
from tuner.deploy.kubernetes.capacity import amount, quantity
from tuner.deploy.kubernetes.checks.finding import Finding, fault, mistake, ok, warning
from tuner.deploy.kubernetes.checks.reading import read, reader
from tuner.deploy.kubernetes.checks.site import Site
from tuner.deploy.kubernetes.resources import POD
from tuner.errors import FailureClass

_FILL = "the whole download: cluster/model/fill.yaml goes on with what is missing"
_READABLE = (
    "files that this user may read (deploy.pod.security_context: runAsUser, fsGroup; or chmod -R a+rX)"
)


@dataclass
class Listed:
    """What was found at one place of the claim.

    Attributes:
        absent: there is no such folder.
        closed: what the engine's user may not read; "" for nothing.
        whole: a file of a format that needs no config.json; "" for none.
        missing: files that an index or a link names and that are not there; a few of them.
        beside: some names that are there, or in the nearest folder that is.
    """

    place: str
    absent: bool = False
    closed: str = ""
    files: int = 0
    size_bytes: int = 0
    config: bool = False
    whole: str = ""
    missing: list[str] = field(default_factory=list)
    beside: str = ""


def parsed(text: str) -> list[Listed]:
    """What list_model.sh wrote; a line that was cut off, or is none of its own, is left out."""
    found: list[Listed] = []
    for line in text.splitlines():
        word, _, value = line.partition(" ")
        if word == "place":
            found.append(Listed(value))
        elif not found:
            continue
        elif word in ("closed", "whole", "beside"):
            setattr(found[-1], word, value.strip())
        elif word in ("files", "bytes") and value.isdigit():
            setattr(found[-1], {"bytes": "size_bytes"}.get(word, word), int(value))
        elif word in ("config", "absent"):
            setattr(found[-1], word, value == "yes")
        elif word == "missing":
            found[-1].missing.append(value)
    return found


def files(site: Site) -> Iterator[Finding]:
    """What is to be said of them; nothing where a right is missing, or the claim has no volume yet."""
    storage = site.wanted.storage
    if storage is None or storage.pvc_name is None or site.pod is None or not _bound(site):
        return
    if not all(site.cluster.may(verb, POD) for verb in ("create", "delete")):
        return  # the rights say what is lost
    subject = f"files in {storage.pvc_name}"
    manifest = reader(
        site.pod,
        claim=storage.pvc_name,
        places=site.demand.subpaths,
        nodes=[view.name(node) for node in site.places],
        gpu=site.wanted.deploy.gpu_resource,
    )
    got = read(site.cluster, manifest, now=site.now, sleep=site.sleep)
    if got.symptom is not None:
        yield fault(
            subject, f"a trial's pod would not start: {got.symptom.message}", _remedy(got.symptom.kind)
        )
        return
    listed = parsed(got.text)
    if not listed:
        why = got.unread or "what the pod that reads it wrote is not understood"
        yield warning(subject, f"not looked at: {why}", "an engine's image with a shell, on a node with room")
        return
    for one in listed:
        yield _at(subject, one)
    largest = max(listed, key=lambda one: one.size_bytes)
    yield from _memory(site, largest)


def _at(subject: str, one: Listed) -> Finding:
    where = f"sub-path {one.place}" if one.place != "." else "the claim's root"
    there = f"; there is {one.beside}" if one.beside else ""
    if one.absent:
        return mistake(
            subject, f"{where} is not in the claim{there}", "storage.pvc_subpath of a folder there"
        )
    if one.closed:
        what = "the claim's root" if one.closed == "." else one.closed
        return fault(subject, f"the engine's user may not read {what}", _READABLE)
    if not one.files:
        return mistake(subject, f"{where} holds no file", _FILL)
    if one.missing:
        text = f"{where} is not whole: {', '.join(one.missing)} is named there and is not there"
        return fault(subject, text, _FILL)
    holds = f"{one.files} files, {one.size_bytes / 1e9:.3g} GB"
    if not one.config and not one.whole:
        text = f"{where} holds {holds}, and no config.json{there}"
        return mistake(subject, text, "storage.pvc_subpath of the model's own folder")
    return ok(subject, f"{where} holds {'config.json' if one.config else one.whole} and in all {holds}")


def _memory(site: Site, one: Listed) -> Iterator[Finding]:
    """A container below the checkpoint's size loads slowly, or is ended while it loads."""
    engine = (site.pod or {})["spec"]["containers"][0]
    limit = ((engine.get("resources") or {}).get("limits") or {}).get("memory")
    if limit is None or not one.size_bytes:
        return
    most = quantity(limit)
    if most < one.size_bytes:
        size = amount("memory", quantity(one.size_bytes))
        yield warning(
            "container memory",
            f"the container may have {amount('memory', most)}, and the checkpoint is {size}: it may be ended "
            "while it loads",
            f"deploy.pod.resources.limits.memory above {size}",
        )


def _bound(site: Site) -> bool:
    found = site.claim.found or {}
    return (found.get("status") or {}).get("phase") == "Bound"


def _remedy(kind: FailureClass) -> str:
    if kind is FailureClass.IMAGE:
        return "an image that the nodes can pull, with deploy.pod.image_pull_secrets for a private registry"
    if kind is FailureClass.MOUNT:
        return "a volume that the nodes can mount: `kubectl describe pv` of it, and its server or disk"
    return "deploy.pod as the image and the nodes need it"
