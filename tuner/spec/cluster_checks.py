"""What a backend on a cluster needs of the other sections, and what none of them may say without effect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tuner.spec.faults import Fault, show, suggestion
from tuner.spec.names import container_path, dns_subdomain, relative_path

if TYPE_CHECKING:
    from tuner.spec.experiment import Experiment

SUBPATH = "storage.pvc_subpath"
NODE_CLASS = "deploy.node_class"
_SHIPPED = ("inference_service.yaml.j2", "deployment.yaml.j2")


def cluster_faults(experiment: Experiment) -> Iterator[Fault]:
    """Every fault between `deploy.backend` and the sections around it; `at` is the experiment's path."""
    backend, storage = experiment.deploy.backend, experiment.storage
    if backend == "local" and storage is not None:
        yield Fault(got="a value", right="without it; backend local reads model.path", at=("storage",))
    elif backend == "ome":
        yield from _ome(experiment)
    elif backend == "kubernetes":
        yield from _kubernetes(experiment)
    if backend in ("ome", "kubernetes"):
        if experiment.model.synthetic is not None:
            right = "without it; backend local makes models on the spot"
            yield Fault(got="a value", right=right, at=("model", "synthetic"))
        yield from _places(experiment)
        yield from _node_classes(experiment)


def _ome(experiment: Experiment) -> Iterator[Fault]:
    model, storage = experiment.model, experiment.storage
    if model.path is not None:
        right = "name: as the cluster knows it; its files are in storage"
        yield Fault(got=show(model.path), right=right, at=("model", "path"))
    try:
        dns_subdomain(model.name)
    except Fault as fault:
        yield Fault(got=fault.got, right=fault.right, at=("model", "name"))
    if experiment.deploy.runtime is None:
        yield Fault(got="nothing", right="the name of a ClusterServingRuntime", at=("deploy", "runtime"))
    if storage is not None and storage.type == "hostPath":
        for key in ("host_path", "mount_path"):
            if (value := getattr(storage, key)) is not None:
                right = "without it; OME's model says where it is on the node"
                yield Fault(got=show(value), right=right, at=("storage", key))


def _kubernetes(experiment: Experiment) -> Iterator[Fault]:
    model, storage, deploy = experiment.model, experiment.storage, experiment.deploy
    if deploy.image is None:
        right = "the engine's container image, such as vllm/vllm-openai:v0.11.0"
        yield Fault(got="nothing", right=right, at=("deploy", "image"))
    if storage is None:
        if model.path is None:
            right = "storage: {type: pvc, pvc_name: NAME}, or model.path for a model in the image"
            yield Fault(got="nothing", right=right, at=("storage",))
        return
    if model.path is not None:
        right = "without it; the model's files are in storage"
        yield Fault(got=show(model.path), right=right, at=("model", "path"))
    if storage.mount not in ("auto", "inline"):
        right = "without it; a Deployment mounts the claim itself"
        yield Fault(got=show(storage.mount), right=right, at=("storage", "mount"))
    if storage.type == "hostPath" and storage.host_path is None:
        yield Fault(got="nothing", right="the directory on the nodes", at=("storage", "host_path"))
    elif storage.type == "pvc" and storage.mount_path is None:
        try:
            container_path(f"/raid/models/{model.name}")
        except Fault:
            right = "a path, for the model's name makes none"
            yield Fault(got="nothing", right=right, at=("storage", "mount_path"))


def _places(experiment: Experiment) -> Iterator[Fault]:
    storage, template = experiment.storage, experiment.deploy.template
    for name, parameter in experiment.parameters.items():
        at = ("parameters", name)
        if parameter.place in (None, NODE_CLASS):
            continue
        if parameter.place != SUBPATH:
            if template in _SHIPPED:
                right = f"{SUBPATH}, {NODE_CLASS}, or a template of your own that uses it"
                yield Fault(got=show(parameter.place), right=right, at=(*at, "place"))
            continue
        if storage is None or storage.type != "pvc":
            right = "storage: {type: pvc, ...} beside it"
            yield Fault(got=SUBPATH, right=right, at=(*at, "place"))
        for index, value in enumerate(parameter.grid() or ("",)):
            try:
                relative_path(value if isinstance(value, str) else "")
            except Fault as fault:
                yield Fault(got=show(value), right=fault.right, at=(*at, "values", index))
                break


def _node_classes(experiment: Experiment) -> Iterator[Fault]:
    classes = experiment.deploy.node_classes or {}
    placed = [(name, p) for name, p in experiment.parameters.items() if p.place == NODE_CLASS]
    if classes and not placed:
        right = f"a parameter with place: {NODE_CLASS} beside it, or deploy.pod.node_selector for one class"
        yield Fault(got=", ".join(classes), right=right, at=("deploy", "node_classes"))
    for name, parameter in placed:
        at = ("parameters", name)
        if not classes:
            right = "deploy.node_classes beside it: {h100: {node_selector: {...}}, ...}"
            yield Fault(got=NODE_CLASS, right=right, at=(*at, "place"))
            continue
        for index, value in enumerate(parameter.grid() or ("",)):
            if value not in classes:
                right = f"a class of deploy.node_classes: {suggestion(str(value), classes)}"
                yield Fault(got=show(value), right=right, at=(*at, "values", index))
