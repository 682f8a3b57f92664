"""`deploy.backend: local`: engines as processes of the trial's own node."""

from __future__ import annotations

from pathlib import Path

from tuner.deploy.embedded.model import ModelSettings
from tuner.deploy.local import LocalBackend
from tuner.errors import UserError
from tuner.spec import Experiment
from tuner.spec.shipped import template


def make_backend(experiment: Experiment) -> LocalBackend:
    """See `backend_for`."""
    deploy, model = experiment.deploy, experiment.model
    source: str | ModelSettings
    if model.synthetic is not None:
        source = ModelSettings(**model.synthetic.model_dump())
    elif model.path is not None:
        source = str(Path(model.path).expanduser().absolute())  # a Ray worker runs elsewhere
    else:
        raise UserError("model: got neither path nor synthetic; would be right: model: {path: FILE}")
    pinning = deploy.pinning
    return LocalBackend(
        template=template(deploy.template or ""),
        model=source,
        model_name=model.name,
        binary=deploy.binary,
        port=deploy.port,
        pinning=pinning if isinstance(pinning, str) else pinning.model_dump(),
        environment=dict(deploy.env),
        ready_seconds=deploy.ready_seconds,
        stop_seconds=deploy.stop_seconds,
    )
