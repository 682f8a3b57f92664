"""From an experiment to its deployment backend. A new backend is one module here.

A module offers `make_backend(experiment) -> ServingBackend`; its name is what `deploy.backend` says.
"""

from __future__ import annotations

import importlib
from typing import Protocol

from tuner.spec import Experiment
from tuner.trial.ports import DeploymentBackend, Phase, TrialConfig


class ServingBackend(DeploymentBackend, Protocol):
    """A backend as a run needs it. It may be pickled and sent to another machine."""

    def preflight(self, trial: TrialConfig) -> None:
        """Find what would keep `trial` from being deployed, as far as that can be told before.

        Raises:
            UserError, WorldError: one line.
        """

    def command(self, trial: TrialConfig) -> str:
        """The shell command, or the manifest, by which a person serves this configuration."""


def backend_for(experiment: Experiment) -> ServingBackend:
    """The backend that `deploy.backend` names.

    Raises:
        UserError: its template is not there, or its model is not given.
    """
    module = importlib.import_module(f"{__name__}.{experiment.deploy.backend}")
    made: ServingBackend = module.make_backend(experiment)
    return made


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
