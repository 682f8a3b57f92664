"""Pods, volumes and containers from which mount_cases.py makes its table."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

CLAIM = "models"
MODEL = "tiny"
SUBPATH = "meta/tiny"
HERE = "/raid/models/tiny"  # where OME mounts the model
THERE = "/models/served"  # where the annotation wants it
READY = "models.ome.io/clusterbasemodel.tiny"


@dataclass(frozen=True)
class Case:
    """One pod as it is created.

    Attributes:
        finished: what it is afterwards; the pod itself where it is left alone; None where it is refused.
        refused: words in the refusal.
        by_api: the API server itself refuses it: the patched pod of a refused case, so that only a cluster
            shows it; the pod without its patch of a finished one.
    """

    name: str
    pod: Json
    finished: Json | None = None
    refused: str = ""
    by_api: bool = False


def annotations(**changes: str | None) -> Json:
    """OME's and ours, with some changed or (None) left out; keys with _ for -."""
    given: dict[str, str | None] = {
        "storage_type": "pvc",
        "pvc_name": CLAIM,
        "pvc_subpath": SUBPATH,
        "mount_path": THERE,
        "base_model_name": MODEL,
        **changes,
    }
    return {f"ome.io/{key.replace('_', '-')}": value for key, value in given.items() if value is not None}


def host(name: str = MODEL, path: str = HERE) -> Json:
    """A hostPath volume."""
    return {"name": name, "hostPath": {"path": path, "type": ""}}


def claim(name: str = MODEL, claim_name: str = CLAIM, *, read_only: bool = True) -> Json:
    """A claim as a volume."""
    source = {"claimName": claim_name, **({"readOnly": True} if read_only else {})}
    return {"name": name, "persistentVolumeClaim": source}


def empty(name: str) -> Json:
    """An emptyDir volume."""
    return {"name": name, "emptyDir": {}}


def mount(path: str = HERE, name: str = MODEL, *, sub: str = "", read_only: bool = True) -> Json:
    """A volume's mount."""
    return {
        "name": name,
        "mountPath": path,
        **({"readOnly": True} if read_only else {}),
        **({"subPath": sub} if sub else {}),
    }


def mounted(path: str = THERE, name: str = MODEL, *, sub: str = SUBPATH) -> Json:
    """A mount as it should be."""
    return mount(path, name, sub=sub)


def path_is(value: str) -> Json:
    """The variable MODEL_PATH."""
    return {"name": "MODEL_PATH", "value": value}


def container(name: str, *, mounts: list[Json] | None = None, env: list[Json] | None = None) -> Json:
    """A container with these mounts and variables; None leaves the list out."""
    made: Json = {"name": name, "image": "local/engine:1", "command": ["/engine", "--model", "$(MODEL_PATH)"]}
    if env is not None:
        made["env"] = env
    if mounts is not None:
        made["volumeMounts"] = mounts
    return made


def engine(*, mounts: list[Json] | None = None, env: list[Json] | None = None) -> Json:
    """OME's engine container; without arguments as OME makes it."""
    if mounts is None and env is None:
        return container("ome-container", mounts=[mount()], env=[path_is(HERE)])
    return container("ome-container", mounts=mounts, env=env)


def served(path: str = THERE, *, sub: str = SUBPATH) -> Json:
    """The engine container with the claim."""
    return engine(mounts=[mounted(path, sub=sub)], env=[path_is(path)])


def pod(
    *containers: Json,
    volumes: list[Json] | None = None,
    init: list[Json] | None = None,
    selector: Json | None = None,
    labels: Json | None = None,
    notes: Json | None = None,
) -> Json:
    """A pod; without `notes` annotated as an experiment with a claim asks for it."""
    spec: Json = {
        "containers": list(containers),
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,  # its volume's name would be random
    }
    if volumes is not None:
        spec["volumes"] = volumes
    if init is not None:
        spec["initContainers"] = init
    if selector is not None:
        spec["nodeSelector"] = selector
    metadata: Json = {
        "generateName": "case-",
        "labels": {"component": "engine"} if labels is None else labels,
        "annotations": annotations() if notes is None else notes,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def untouched(name: str, one: Json) -> Case:
    """A pod that is left as it is."""
    return Case(name, one, finished=copy.deepcopy(one))


def changed(name: str, *, volumes: list[Json], before: list[Json], after: list[Json], **rest: Any) -> Case:
    """A pod with the claim named after the model, whose containers change."""
    claimed = [claim(one["name"]) if one["name"] == MODEL else one for one in volumes]
    return Case(name, pod(*before, volumes=volumes, **rest), pod(*after, volumes=claimed, **rest))


def notes_case(name: str, path: str, sub: str, **notes: str | None) -> Case:
    """OME's own pod under other annotations, with the claim at `path`."""
    made = annotations(**notes)
    return Case(
        name,
        pod(engine(), volumes=[host()], notes=made),
        pod(served(path, sub=sub), volumes=[claim()], notes=made),
    )
