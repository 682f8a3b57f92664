"""What may be said of a deployment on its way up, beside an error; and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.deploy.kubernetes.pod_view import Json


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each phase may take.

    Attributes:
        schedule_seconds: from creation to a node.
        image_seconds: from there to a started container: image, volumes.
        ready_seconds: from there to a served request.
    """

    schedule_seconds: float
    image_seconds: float
    ready_seconds: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """It is on its way; `what` is a line for a person."""

    what: str


@dataclass(frozen=True, slots=True)
class Ready:
    """A pod is Ready: now a request has to be served."""

    pod: Json
