"""What an experiment wants deployed on a cluster, and who a single deployment belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tuner.spec.deploy import Deploy
from tuner.spec.model import Model, Storage
from tuner.trial.ports import TrialConfig

Manifest = dict[str, Any]  # one Kubernetes object as the API takes it

TASK = "autotuner.io/task"
EXPERIMENT_ID = "autotuner.io/experiment-id"
RUN = "autotuner.io/run"
DRIVER = "autotuner.io/driver"
MOUNT = "autotuner.io/mount"  # on a namespace: who mounts claims in its pods
MANAGED = {"app.kubernetes.io/managed-by": "autotuner"}  # by which alerts and selectors leave trials out


class Way(StrEnum):
    """Who mounts the claim."""

    POLICY = "policy"
    WEBHOOK = "webhook"
    NATIVE = "native"
    INLINE = "inline"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class Mount:
    """How the claim of the model gets into the pods.

    Attributes:
        way: settled; never `auto`.
        path: where the model is to be in the container.
        annotate: whether the four `ome.io/` annotations are written. Without them no admission looks at
            the pod: so it is for `native`, and for `inline` where nothing at admission acts.
    """

    way: Way
    path: str
    annotate: bool


@dataclass(frozen=True, slots=True)
class Demand:
    """What a whole search asks of a cluster beyond its first trial.

    Attributes:
        parallel: trials at once; None where the cluster's room says.
        fewest: accelerators of the narrowest configuration.
        widest: the configuration that takes the most accelerators.
        subpaths: every place within the claim that trials may serve from; empty where all of it is the model.
    """

    parallel: int | None
    fewest: int
    widest: TrialConfig
    subpaths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """The sections of an experiment that a deployment is made from; they are immutable and may be pickled.

    Attributes:
        task: the experiment's name.
        template: the text of the template to render; a person's own, or the one that ships.
        base: the shipped one's text, over which a person's own is laid; "" where that is the template.
        demand: of the search; None where one deployment is all that is asked for.
    """

    task: str
    model: Model
    storage: Storage | None
    deploy: Deploy
    template: str
    base: str = ""
    demand: Demand | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose object it is.

    Attributes:
        name: a DNS-1035 label of at most 63 characters.
        labels: on every object and pod; empty for production.
        owner: an owner reference as the API takes it; None for an object that stands alone.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    owner: Mapping[str, Any] | None = None
