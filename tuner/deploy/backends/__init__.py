"""From an experiment to its deployment backend. A new backend is one module here.

A module offers `make_backend(experiment) -> ServingBackend`; its name is what `deploy.backend` says.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from tuner.spec import Experiment
from tuner.trial.ports import DeploymentBackend, Phase, TrialConfig
from tuner.trial.serving import Serving

Say = Callable[[str], None]  # one line for a person


class ServingBackend(DeploymentBackend, Protocol):
    """A backend as a run needs it. It may be pickled and sent to another machine.

    Attributes:
        node_bound: its engines run on the Ray node of their trial's actor.
        assumed_deploy_seconds: a guess of what one deployment takes, before any was seen.
    """

    node_bound: bool
    assumed_deploy_seconds: float

    def prepared(self, trial: TrialConfig, *, say: Say) -> ServingBackend:
        """Find what would keep `trial` from being deployed, and settle what only the place can tell.

        Args:
            say: told what was settled, and what could not be looked at.

        Returns:
            The backend to go on with.

        Raises:
            UserError, WorldError: one line.
        """

    def capacity(self) -> int | None:
        """How many accelerators are free for trials at this moment, others' use taken off.

        None where the backend cannot tell: Ray counts those of its own nodes, or a person says it.
        """

    def running(self, run: str, *, say: Say) -> AbstractContextManager[ServingBackend]:
        """Hold what a run needs while it works: enter before the first deployment, leave after the last.

        Entering takes away what dead drivers left, leaving what this one did.

        Raises:
            WorldError: the place of deployment cannot be reached.
        """

    def waiting(self, run: str) -> str:
        """The deployment of `run` that waits for accelerators, and on what, in one line; "" for none.

        While one waits no other is started: small ones would take what a wide one waits for.
        """

    def restricted_to(self, cores: tuple[int, ...]) -> ServingBackend:
        """The backend whose engines share `cores` out; only asked where `node_bound`."""

    def serving(self, trial: TrialConfig, *, name: str) -> Serving:
        """The shell command, or the manifest, by which a person serves this configuration as `name`.

        Raises:
            UserError, WorldError: it cannot be told on this machine.
        """


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
        accelerators=space.accelerators(space.baseline),
    )
