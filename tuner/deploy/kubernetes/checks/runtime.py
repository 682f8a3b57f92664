"""The runtime that an experiment names: there, enabled, and of a command that takes a trial's flags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tuner.deploy.kubernetes.checks.finding import Finding, Level, mistake, not_looked, ok, parted
from tuner.deploy.kubernetes.checks.site import Site
from tuner.deploy.kubernetes.runtime import Runtime
from tuner.deploy.kubernetes.wanted import Manifest, Wanted
from tuner.errors import UserError
from tuner.trial.ports import TrialConfig

_ANY_FLAG = ("--flag",)


def runtime(site: Site) -> Iterator[Finding]:
    """What is to be said of it; the namespace's own wins over the cluster's."""
    subject, there = f"runtime {site.wanted.deploy.runtime or ''}", site.runtime
    if there.found is not None:
        yield _usable(subject, there.found, there.kind, site.wanted, site.trial)
    elif there.unseen:
        yield not_looked(subject, " and ".join(there.unseen))
    else:
        where = site.cluster.namespace
        yield mistake(
            subject,
            f"there is no ClusterServingRuntime of that name, and no ServingRuntime in {where}",
            "deploy.runtime of one",
        )


def _usable(subject: str, found: Manifest, kind: str, wanted: Wanted, trial: TrialConfig) -> Finding:
    if found["spec"].get("disabled"):
        return mistake(subject, f"the {kind} is disabled", "spec.disabled: false")
    variables = {*wanted.deploy.env, *(wanted.deploy.env_secrets or ()), *trial.environment}
    try:
        engine = Runtime.from_object(found, kind)
        engine.arguments(trial.arguments, variables=variables)
    except UserError as error:
        return parted(subject, str(error))
    try:
        engine.arguments(trial.arguments or _ANY_FLAG)
    except UserError as error:  # a baseline without flags runs, and trials may only set variables
        return replace(parted(subject, str(error)), level=Level.WARNING)
    return ok(subject, f"is a {kind}, and takes the flags of a trial")
