"""The backend that an experiment names. A new backend is one branch here and a file of its own."""

from __future__ import annotations

from pathlib import Path

from tuner.deploy.embedded.model import ModelSettings
from tuner.deploy.local import LocalBackend
from tuner.deploy.pinning import Pinning
from tuner.errors import UserError
from tuner.spec import Experiment
from tuner.spec.shipped import template


def backend_of(experiment: Experiment, *, log_dir: Path | None = None) -> LocalBackend:
    """The backend of `experiment`; pickled, it may be sent to the nodes that deploy.

    Args:
        experiment: with its defaults filled in.
        log_dir: where engine logs stay; None keeps no file.

    Raises:
        UserError: the template is not there, or the backend is not built.
    """
    deploy, model = experiment.deploy, experiment.model
    if deploy.backend != "local":
        raise UserError(f"deploy.backend {deploy.backend}: not built yet; local")
    pinning: Pinning
    if isinstance(deploy.pinning, str):
        pinning = deploy.pinning
    else:
        pinning = {"engine": deploy.pinning.engine, "load": deploy.pinning.load}
    # A relative path is meant from where the command runs, which is not where a Ray worker does.
    path = str(Path(model.path).expanduser().absolute()) if model.path else ""
    return LocalBackend(
        template=template(deploy.template or ""),
        model=ModelSettings(**model.synthetic.model_dump()) if model.synthetic else path,
        model_name=model.name,
        binary=deploy.binary,
        ready_seconds=deploy.ready_seconds,
        stop_seconds=deploy.stop_seconds,
        port=deploy.port,
        pinning=pinning,
        environment=dict(deploy.env),
        log_dir=log_dir,
    )
