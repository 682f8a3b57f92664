"""What can be seen of an experiment without a cluster: what it renders to, and what is wrong with that."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from tuner.deploy.kubernetes.manifests import (
    cluster_base_model,
    deployment,
    inference_service,
    to_yaml,
    wanted_of,
)
from tuner.deploy.kubernetes.object_checks import object_faults
from tuner.deploy.kubernetes.wanted import (
    DRIVER,
    EXPERIMENT_ID,
    MANAGED,
    RUN,
    TASK,
    Identity,
    Manifest,
    Mount,
    Wanted,
    Way,
)
from tuner.errors import SpecError, TunerError
from tuner.spec import Experiment
from tuner.spec.section import ParamValue
from tuner.trial.ports import Phase, TrialConfig

_SAMPLES = 8
_CLUSTERS = ("ome", "kubernetes")


def offline_findings(experiment: Experiment) -> list[str]:
    """What is wrong with the templates and with what they render to, one line each; empty where all is well.

    The baseline and a few configurations of the space are rendered; nothing is asked of a cluster.
    """
    if experiment.deploy.backend not in _CLUSTERS:
        return []
    try:
        wanted = wanted_of(experiment)
    except TunerError as error:
        return [str(error)]
    found: dict[str, None] = {}
    for params in _configurations(experiment):
        for line in _findings(experiment, wanted, params):
            found.setdefault(line)
    return list(found)


def trial_of(experiment: Experiment, params: Mapping[str, ParamValue], *, run: str = "render") -> TrialConfig:
    """The first deployment of `params`, as a run would make it."""
    space = experiment.space
    return TrialConfig(
        run=run,
        trial=0,
        phase=Phase.SEARCH,
        attempt=1,
        params=space.active(params),
        arguments=space.arguments(params),
        environment=space.environment(params),
        places=space.places(params),
        accelerators=space.accelerators(params),
    )


def trial_objects(wanted: Wanted, trial: TrialConfig) -> list[Manifest]:
    """The objects of `trial` as far as they are known without a cluster.

    `storage.mount: auto` is shown as a policy or a webhook has it; of the runtime only its name is known, so
    the runner's args are the trial's flags alone.

    Raises:
        UserError: the template does not take it.
    """
    identity = Identity(trial.name, labels_of(wanted, trial))
    if wanted.deploy.backend == "kubernetes":
        return deployment(wanted, trial, identity=identity)
    mount = assumed_mount(wanted)
    return [inference_service(wanted, trial, identity=identity, mount=mount, runtime=None)]


def labels_of(wanted: Wanted, trial: TrialConfig, *, driver: str = "") -> dict[str, str]:
    """The labels on every object of `trial`; without a driver its label is left out."""
    found = {TASK: wanted.task, EXPERIMENT_ID: trial.name, RUN: trial.run, DRIVER: driver, **MANAGED}
    return {key: value for key, value in found.items() if value}


def assumed_mount(wanted: Wanted) -> Mount | None:
    """The mount that `storage` asks for, taking it that the cluster has it."""
    storage = wanted.storage
    if storage is None or storage.type != "pvc":
        return None
    way = Way.POLICY if storage.mount == "auto" else Way(storage.mount)
    path = storage.mount_path or wanted.model.storage_path or f"/raid/models/{wanted.model.name}"
    return Mount(way=way, path=path, annotate=way is not Way.NATIVE)


def base_model_yaml(wanted: Wanted) -> str:
    """The ClusterBaseModel for an operator; the claim is in the trials' namespace.

    Raises:
        UserError: see `cluster_base_model`.
    """
    namespace = wanted.deploy.namespace or wanted.model.namespace or "default"
    return to_yaml([cluster_base_model(wanted, namespace=namespace)])


def _configurations(experiment: Experiment) -> Iterator[dict[str, Any]]:
    yield experiment.space.baseline
    rng = random.Random(0)
    with suppress(SpecError):  # constraints that leave too little are the search's to say
        for _ in range(_SAMPLES):
            yield experiment.space.sample(rng)


def _findings(experiment: Experiment, wanted: Wanted, params: Mapping[str, ParamValue]) -> Iterator[str]:
    try:
        objects = trial_objects(wanted, trial_of(experiment, params))
        if wanted.deploy.backend == "ome" and wanted.storage is not None and wanted.storage.type == "pvc":
            objects.append(cluster_base_model(wanted, namespace=wanted.deploy.namespace or "default"))
    except TunerError as error:
        yield str(error)
        return
    for manifest in objects:
        yield from object_faults(manifest)
