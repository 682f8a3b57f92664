"""From an experiment to its deployment backend."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from tuner.deploy.embedded.model import ModelSettings
from tuner.deploy.local import LocalBackend
from tuner.errors import UserError
from tuner.spec import Experiment
from tuner.spec.shipped import template
from tuner.trial.ports import DeploymentBackend, Phase, TrialConfig


class ServingBackend(DeploymentBackend, Protocol):
    """A backend as a run needs it."""

    def preflight(self, trial: TrialConfig) -> None:
        """Find what would keep `trial` from being deployed, as far as that can be told before."""

    def command(self, trial: TrialConfig) -> str:
        """How a person serves this configuration."""


def backend_for(experiment: Experiment) -> ServingBackend:
    """The backend that the experiment names.

    Raises:
        UserError: its template is not there, or its model is not given.
    """
    deploy, model = experiment.deploy, experiment.model
    pinning = deploy.pinning
    source: str | ModelSettings
    if model.synthetic is not None:
        source = ModelSettings(**model.synthetic.model_dump())
    elif model.path is not None:
        source = str(Path(model.path).expanduser().resolve())
    else:
        raise UserError("model: got neither path nor synthetic; would be right: model.path: FILE")
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


def baseline_trial(experiment: Experiment) -> TrialConfig:
    """The baseline's deployment, for checks before there is a run."""
    space = experiment.space
    return TrialConfig(
        run="preflight",
        trial=0,
        phase=Phase.SEARCH,
        attempt=1,
        params=space.baseline,
        arguments=space.arguments(space.baseline),
        environment=space.environment(space.baseline),
        places=space.places(space.baseline),
    )
