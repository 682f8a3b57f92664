"""The objects of one deployment: the template rendered, and what identifies it put on what it renders to."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from tuner.deploy.kubernetes.escaping import MODEL_PATH, expandable, templated
from tuner.deploy.kubernetes.gates import QUEUE
from tuner.deploy.kubernetes.overlay import laid_over
from tuner.deploy.kubernetes.pod_fields import claim_volume, env_list, pod_fields, pod_of, resources
from tuner.deploy.kubernetes.runtime import Runtime, with_flags
from tuner.deploy.kubernetes.template import render
from tuner.deploy.kubernetes.wanted import EXPERIMENT_ID, Identity, Manifest, Mount, Wanted, Way
from tuner.errors import UserError
from tuner.spec import Experiment, shipped
from tuner.spec.annotations import CONTRACT
from tuner.spec.annotations import annotations as storage_annotations
from tuner.spec.cluster_checks import SUBPATH
from tuner.spec.document import dump
from tuner.trial.ports import TrialConfig

INFERENCE_SERVICE = "inference_service.yaml.j2"
DEPLOYMENT = "deployment.yaml.j2"
BASE_MODEL = "cluster_base_model.yaml.j2"
ENGINE_CONTAINER = "engine"  # of a Deployment; an InferenceService's is ome-container
INSTANCE = "app.kubernetes.io/instance"  # the label by which a Deployment and its Service find their pods
_SHIPPED = {"ome": INFERENCE_SERVICE, "kubernetes": DEPLOYMENT}


def wanted_of(experiment: Experiment) -> Wanted:
    """The sections that deployments are made from, with the template's text.

    Raises:
        UserError: the template is not there, or cannot be read.
    """
    base = _SHIPPED[experiment.deploy.backend]
    name = experiment.deploy.template or base
    return Wanted(
        task=experiment.name,
        model=experiment.model,
        storage=experiment.storage,
        deploy=experiment.deploy,
        template=shipped.template(name),
        base="" if name == base else shipped.template(base),
    )


def inference_service(
    wanted: Wanted,
    trial: TrialConfig,
    *,
    identity: Identity,
    mount: Mount | None,
    runtime: Runtime | None,
    avoid_nodes: Collection[str] = (),
) -> Manifest:
    """OME's InferenceService for `trial`.

    Args:
        mount: how the claim gets into the pods; None for a model that is on the nodes.
        runtime: as the cluster has it; None: not looked at, the flags alone are the runner's args.
        avoid_nodes: nodes on which it shall not run while others can take it.

    Raises:
        UserError: the template or the runtime does not take it; one line.
    """
    values = _common(wanted, trial, identity, avoid_nodes)
    subpath = _subpath(wanted, trial)
    annotated = mount is not None and mount.annotate
    contract = storage_annotations(wanted.storage, pvc_subpath=subpath) if annotated else {}
    env = {**wanted.deploy.env, **trial.environment}
    override = (runtime or Runtime(wanted.deploy.runtime or "", "ClusterServingRuntime")).arguments(
        trial.arguments, variables=_names(wanted, env)
    )
    secrets = wanted.deploy.env_secrets
    written = {name: templated(value) for name, value in _written(wanted, env).items()}
    values |= {
        "isvc_name": identity.name,
        "model_kind": wanted.model.kind,
        "runtime_name": wanted.deploy.runtime,
        "runtime_kind": runtime.kind if runtime else "ClusterServingRuntime",
        "annotations": {**wanted.deploy.pod.annotations, **contract},
        "storage": _storage(wanted, subpath) if annotated else None,
        "args": list(override.args or ()),
        "command": list(override.command or ()),
        "env": env_list(written, secrets),
    }
    if mount is not None and mount.way is Way.INLINE and wanted.storage is not None:
        volume, volume_mount = claim_volume(wanted.storage.pvc_name or "", subpath, mount.path)
        values["volumes"] = [volume, *values["volumes"]]
        values["volume_mounts"] = [volume_mount, *values["volume_mounts"]]
        values["env"] = env_list({MODEL_PATH: mount.path, **written}, secrets)
    (found,) = _rendered(wanted, values, kinds=("InferenceService",))
    metadata = _part(found, wanted, "metadata")
    kept = {k: v for k, v in (metadata.get("annotations") or {}).items() if k not in CONTRACT}
    metadata["annotations"] = {**kept, **contract}
    return _identified(found, wanted, identity)


def deployment(
    wanted: Wanted, trial: TrialConfig, *, identity: Identity, avoid_nodes: Collection[str] = ()
) -> list[Manifest]:
    """The Deployment and the Service for `trial` on plain Kubernetes, the claim or host directory mounted.

    Raises:
        UserError: the template does not render to these; one line.
    """
    deploy, storage, subpath = wanted.deploy, wanted.storage, _subpath(wanted, trial)
    values = _common(wanted, trial, identity, avoid_nodes)
    path = wanted.model.path or ""
    if storage is not None and storage.type == "pvc":
        path = storage.mount_path or f"/raid/models/{wanted.model.name}"
        volume, volume_mount = claim_volume(storage.pvc_name or "", subpath, path)
    elif storage is not None:
        path = storage.mount_path or storage.host_path or ""
        volume = {"name": "model", "hostPath": {"path": storage.host_path, "type": "Directory"}}
        volume_mount = {"name": "model", "mountPath": path, "readOnly": True}
    if storage is not None:
        values["volumes"] = [volume, *values["volumes"]]
        values["volume_mounts"] = [volume_mount, *values["volume_mounts"]]
    env = {MODEL_PATH: path, **deploy.env, **trial.environment}
    override = with_flags(
        deploy.command,
        deploy.arguments,
        trial.arguments,
        variables=_names(wanted, env),
        where="deploy.command: it",
        right="the engine itself, with arguments",
    )
    values |= {
        "annotations": dict(deploy.pod.annotations),
        "selector": {INSTANCE: identity.name},
        "image": deploy.image,
        "command": list(deploy.command if override.command is None else override.command),
        "args": list(deploy.arguments if override.args is None else override.args),
        "env": env_list(_written(wanted, env), deploy.env_secrets),
        "container_port": deploy.container_port,
        "readiness_path": deploy.readiness_path,
        "scheme": "HTTP" if deploy.tls is None else "HTTPS",
        "storage": _storage(wanted, subpath),
    }
    found = _rendered(wanted, values, kinds=("Deployment", "Service"))
    for manifest in found:
        _identified(manifest, wanted, identity)
    pods = _part(found[0], wanted, "spec", "template", "metadata")
    pods["labels"] = {**(pods.get("labels") or {}), **identity.labels, INSTANCE: identity.name}
    return found


def cluster_base_model(wanted: Wanted, *, namespace: str) -> Manifest:
    """The model as an operator registers it with OME; `namespace` is the claim's.

    Raises:
        UserError: the file says neither a claim nor a path on the nodes.
    """
    model, storage = wanted.model, wanted.storage
    pvc = storage is not None and storage.type == "pvc"
    if pvc and storage is not None:
        uri = f"pvc://{namespace}:{storage.pvc_name}/{storage.pvc_subpath or ''}"
        if model.kind == "BaseModel":  # of its own namespace: naming one is refused by OME 1.2
            uri = f"pvc://{storage.pvc_name}/{storage.pvc_subpath or ''}"
    elif model.storage_path is not None:
        uri = f"local://{model.storage_path}"
    else:
        right = "storage: {type: pvc, ...}, or the model's directory on the nodes"
        raise UserError(f"model.storage_path: got nothing; would be right: {right}")
    configuration = {
        "architecture": model.architecture,
        "context_length": model.context_length,
        "model_type": model.model_type,
        "parameter_count": model.parameter_count,
    }
    values = {
        "model": model.model_dump(),
        "namespace": namespace,
        "pvc": pvc,
        "storage_uri": uri,
        "configuration": {key: value for key, value in configuration.items() if value is not None},
    }
    (found,) = render(shipped.template(BASE_MODEL), values, name=BASE_MODEL)
    return dict(found)


def to_yaml(objects: Iterable[Mapping[str, Any]]) -> str:
    """YAML documents for `kubectl apply`, in the objects' order."""
    return "---\n".join(dump(dict(one)) for one in objects)


def _common(
    wanted: Wanted, trial: TrialConfig, identity: Identity, avoid_nodes: Collection[str]
) -> dict[str, Any]:
    deploy = wanted.deploy
    volumes: list[Manifest] = []
    mounts: list[Manifest] = []
    if deploy.pod.shared_memory is not None:
        medium = {"medium": "Memory", "sizeLimit": deploy.pod.shared_memory}
        volumes.append({"name": "shared-memory", "emptyDir": medium})
        mounts.append({"name": "shared-memory", "mountPath": "/dev/shm"})
    queue = {QUEUE: deploy.queue} if deploy.queue and identity.labels else {}  # not of production
    pod = pod_of(deploy, trial.places, production=not identity.labels)
    claim = deploy.claim_template(trial.accelerators)
    return {
        "name": identity.name,
        "namespace": deploy.namespace,
        "task_name": wanted.task,
        "experiment_id": identity.labels.get(EXPERIMENT_ID, identity.name),
        "labels": {**deploy.pod.labels, **queue, **identity.labels},
        "owner_references": [dict(identity.owner)] if identity.owner else [],
        "model_name": wanted.model.name,
        "params": dict(trial.params),
        "places": dict(trial.places),
        "accelerators": trial.accelerators,
        "resources": resources(deploy, trial.accelerators),
        "pod": pod_fields(pod, avoid_nodes, near=trial.near, claim_template=claim),
        "security_context": dict(deploy.pod.container_security_context),
        "volumes": volumes,
        "volume_mounts": mounts,
        "stop_seconds": math.ceil(deploy.stop_seconds),
    }


def _subpath(wanted: Wanted, trial: TrialConfig) -> str | None:
    given = trial.places.get(SUBPATH)
    return str(given) if given is not None else wanted.storage.pvc_subpath if wanted.storage else None


def _storage(wanted: Wanted, subpath: str | None) -> dict[str, Any] | None:
    if wanted.storage is None:
        return None
    return {**wanted.storage.model_dump(), "pvc_subpath": subpath}


def _written(wanted: Wanted, env: Mapping[str, str]) -> dict[str, str]:
    return {n: expandable(v, variables=_names(wanted, env) | {MODEL_PATH}) for n, v in env.items()}


def _names(wanted: Wanted, env: Mapping[str, str]) -> set[str]:
    return {*env, *(wanted.deploy.env_secrets or ())}


def _rendered(wanted: Wanted, values: Mapping[str, Any], *, kinds: Sequence[str]) -> list[Manifest]:
    """One object of each of `kinds`, in this order; a person's own laid over the shipped one's."""
    name, base_name = wanted.deploy.template or "", _SHIPPED[wanted.deploy.backend]
    own = _by_kind(render(wanted.template, values, name=name), kinds, name)
    base = _by_kind(render(wanted.base, values, name=base_name), kinds, name) if wanted.base else {}
    found = []
    for kind in kinds:
        if kind not in own and kind not in base:
            raise UserError(f"template {name}: got no {kind}; would be right: one {' and one '.join(kinds)}")
        try:
            found.append(laid_over(base.get(kind, {}), own.get(kind, {})))
        except ValueError as error:
            raise UserError(f"template {name}: {kind}: {error}") from error
    return found


def _part(manifest: Manifest, wanted: Wanted, *keys: str) -> dict[str, Any]:
    node: dict[str, Any] = manifest
    for key in keys:
        below = node.setdefault(key, {})
        if not isinstance(below, dict):
            where = f"template {wanted.deploy.template}: {'.'.join(keys)}"
            raise UserError(f"{where}: got {below!r}; would be right: a mapping")
        node = below
    return node


def _by_kind(documents: Sequence[Any], kinds: Sequence[str], name: str) -> dict[str, Manifest]:
    found: dict[str, Manifest] = {}
    for document in documents:
        kind = str(document.get("kind")) if isinstance(document, Mapping) else ""
        if kind not in kinds or kind in found:
            got = f"a second {kind}" if kind in found else f"an object of kind {kind!r}"
            raise UserError(f"template {name}: got {got}; would be right: one {' and one '.join(kinds)}")
        found[kind] = dict(document)
    return found


def _identified(manifest: Manifest, wanted: Wanted, identity: Identity) -> Manifest:
    """What finding and removing it relies on, whatever the template says."""
    metadata = _part(manifest, wanted, "metadata")
    expected = {"name": identity.name, "namespace": wanted.deploy.namespace}
    for key, value in expected.items():
        if metadata.get(key) not in (None, value):
            where = f"template {wanted.deploy.template}: metadata.{key}"
            raise UserError(f"{where}: got {metadata[key]!r}; would be right: {value!r}")
        if value is not None:
            metadata[key] = value
    if identity.labels:
        metadata["labels"] = {**(metadata.get("labels") or {}), **identity.labels}
    metadata.pop("ownerReferences", None)
    if identity.owner:
        metadata["ownerReferences"] = [dict(identity.owner)]
    for key in ("labels", "annotations"):
        if not metadata.get(key, True):
            del metadata[key]
    return manifest
