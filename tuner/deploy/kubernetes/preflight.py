"""What would keep trials from being deployed, looked at before there is any."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from tuner.deploy.kubernetes.api_errors import ApiRefused, Unreachable
from tuner.deploy.kubernetes.checks import access, dry_run, named
from tuner.deploy.kubernetes.checks.claim import claim
from tuner.deploy.kubernetes.checks.files import files
from tuner.deploy.kubernetes.checks.finding import Finding, Level, fault, from_error, mistake
from tuner.deploy.kubernetes.checks.ome import ome, storage_uri
from tuner.deploy.kubernetes.checks.quota import quotas
from tuner.deploy.kubernetes.checks.room import room
from tuner.deploy.kubernetes.checks.runtime import runtime
from tuner.deploy.kubernetes.checks.site import Site
from tuner.deploy.kubernetes.checks.support import support
from tuner.deploy.kubernetes.checks.volume import volume
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.mounting import settle
from tuner.deploy.kubernetes.wanted import Mount, Wanted
from tuner.errors import TunerError, UserError, WorldError
from tuner.trial.ports import TrialConfig


def findings(
    client: Cluster,
    wanted: Wanted,
    trial: TrialConfig,
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Finding]:
    """Everything that can be found out before `trial` is deployed, the causes before their effects.

    A check whose right is absent is a warning. An API server that does not answer is one error, within
    seconds; never raises for anything that the cluster does. Where nothing else is wrong a pod lists the
    model's files, which takes a few seconds, a minute at most.

    Args:
        now: a monotonic clock, in seconds.
        sleep: waits for seconds.
    """
    return _Survey(Site(client, wanted, trial, now, sleep)).made().findings


def prepared_mount(
    client: Cluster,
    wanted: Wanted,
    *,
    trial: TrialConfig,
    say: Callable[[str], None],
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Mount | None:
    """The mount to deploy with, once nothing was found that would keep `trial` from being deployed.

    Args:
        say: told the warnings, how the claim is mounted, and what is in it.
        now: a monotonic clock, in seconds.
        sleep: waits for seconds.

    Raises:
        UserError: the experiment, or what it names, has to change first.
        WorldError: the cluster has to.
    """
    survey = _Survey(Site(client, wanted, trial, now, sleep)).made()
    for finding in survey.findings:
        if finding.level is Level.WARNING or finding in survey.worth_saying:
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

    site: Site
    findings: list[Finding] = field(default_factory=list)
    worth_saying: list[Finding] = field(default_factory=list)
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
        site, cluster, wanted = self.site, self.site.cluster, self.site.wanted
        of_ome = wanted.deploy.backend == "ome"
        if not self._fine("API server", lambda: [access.server(cluster)]):
            return
        if not self._fine("namespace", lambda: [access.namespace(cluster)]):
            return
        self._fine("rights", lambda: access.rights(cluster, wanted.deploy.backend))
        if of_ome and not self._fine("OME", lambda: ome(site)):
            return
        if of_ome:
            self._fine("runtime", lambda: runtime(site))
            self._fine("model", lambda: [named.model(site), *storage_uri(site), *support(site)])
        if self._fine("claim", lambda: claim(site)):
            self._fine("volume", lambda: volume(site))
            self._fine("mount", self._settled)
        self._fine("Secrets", lambda: named.secrets(cluster, wanted))
        self._fine("pods", lambda: named.accounts_and_classes(cluster, wanted))
        self._try_out(site)

    def _try_out(self, site: Site) -> None:
        """What a trial would meet: admission, quotas, nodes; and its files, once nothing else is wrong."""
        if not any(finding.level is Level.ERROR for finding in self.findings):
            self._fine("objects", lambda: dry_run.objects(site, self.mount))
            self._fine("pod", lambda: dry_run.pod(site))
        self._fine("quota", lambda: quotas(site))
        self._fine("room", lambda: room(site))
        if not any(finding.level is Level.ERROR for finding in self.findings):
            before = len(self.findings)
            self._fine("files", lambda: files(site))
            self.worth_saying += self.findings[before:]

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
            settled = settle(self.site.cluster, self.site.wanted, places=self.site.trial.places)
        except (ApiRefused, Unreachable):
            raise
        except TunerError as error:
            yield from_error("mount", error)
            return
        self.mount, self.worth_saying = settled.mount, list(settled.notes)
        yield from settled.notes
