"""What would keep trials from being deployed, looked at before there is any."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from tuner.deploy.kubernetes.api_errors import ApiRefused, Unreachable
from tuner.deploy.kubernetes.checks import access, named
from tuner.deploy.kubernetes.checks.claim import claim
from tuner.deploy.kubernetes.checks.finding import Finding, Level, fault, from_error, mistake
from tuner.deploy.kubernetes.checks.runtime import runtime
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.mounting import settle
from tuner.deploy.kubernetes.wanted import Mount, Wanted
from tuner.errors import TunerError, UserError, WorldError
from tuner.trial.ports import TrialConfig


def findings(client: Cluster, wanted: Wanted, trial: TrialConfig) -> list[Finding]:
    """Everything that can be found out before `trial` is deployed, the causes before their effects.

    A check whose right is absent is a warning. An API server that does not answer is one error, within
    seconds; never raises for anything that the cluster does.
    """
    return _Survey(client, wanted, trial).made().findings


def prepared_mount(
    client: Cluster, wanted: Wanted, *, trial: TrialConfig, say: Callable[[str], None]
) -> Mount | None:
    """The mount to deploy with, once nothing was found that would keep `trial` from being deployed.

    Args:
        say: told the warnings, and how the claim is mounted.

    Raises:
        UserError: the experiment, or what it names, has to change first.
        WorldError: the cluster has to.
    """
    survey = _Survey(client, wanted, trial).made()
    for finding in survey.findings:
        if finding.level is Level.WARNING or finding in survey.of_mount:
            say(finding.line)
    raise_first(survey.findings)
    return survey.mount


def raise_first(found: Iterable[Finding]) -> None:
    """Raise the first error among `found`, the person's own before the cluster's; nothing for none.

    Raises:
        UserError, WorldError: one line, which says how many more there are.
    """
    errors = [finding for finding in found if finding.level is Level.ERROR]
    if not errors:
        return
    first = next((finding for finding in errors if finding.persons), errors[0])
    more = f" (and {len(errors) - 1} more: `tuner check SPEC` lists them)" if len(errors) > 1 else ""
    raise (UserError if first.persons else WorldError)(first.line + more)


@dataclass
class _Survey:
    """One look at the cluster."""

    cluster: Cluster
    wanted: Wanted
    trial: TrialConfig
    findings: list[Finding] = field(default_factory=list)
    of_mount: list[Finding] = field(default_factory=list)
    mount: Mount | None = None

    def made(self) -> _Survey:
        """Look, and stop early where nothing more could be said."""
        try:
            self._look()
        except Unreachable as error:
            remedy = "the address in KUBECONFIG, and a way to it from this machine"
            self.findings.append(fault("API server", str(error), remedy))
        except UserError as error:  # the kubeconfig
            self.findings.append(mistake("API server", str(error), "KUBECONFIG of a cluster"))
        return self

    def _look(self) -> None:
        ome = self.wanted.deploy.backend == "ome"
        cluster, wanted = self.cluster, self.wanted
        if not self._fine("API server", lambda: [access.server(cluster)]):
            return
        if not self._fine("namespace", lambda: [access.namespace(cluster)]):
            return
        self._fine("rights", lambda: access.rights(cluster, wanted.deploy.backend))
        if ome and not self._fine("OME", lambda: [access.definitions(cluster)]):
            return
        if ome:
            self._fine("runtime", lambda: runtime(cluster, wanted, self.trial))
            self._fine("model", lambda: [named.model(cluster, wanted)])
        if self._fine("claim", lambda: claim(cluster, wanted)):
            self._fine("mount", self._settled)
        self._fine("Secrets", lambda: named.secrets(cluster, wanted))
        self._fine("pods", lambda: named.accounts_and_classes(cluster, wanted))

    def _fine(self, subject: str, check: Callable[[], Iterable[Finding]]) -> bool:
        """Run one check; whether it found no error."""
        found: list[Finding] = []
        try:
            found.extend(check())
        except ApiRefused as refused:
            told = from_error(subject, refused)
            found.append(
                told if told.remedy else fault(subject, told.text, "an API server that answers this")
            )
        self.findings.extend(found)
        return all(finding.level is not Level.ERROR for finding in found)

    def _settled(self) -> Iterator[Finding]:
        try:
            settled = settle(self.cluster, self.wanted, places=self.trial.places)
        except (ApiRefused, Unreachable):
            raise
        except TunerError as error:
            yield from_error("mount", error)
            return
        self.mount, self.of_mount = settled.mount, list(settled.notes)
        yield from settled.notes
