"""The ports: what a deployment backend and a load generator promise to one trial's life.

Nothing here knows Ray or Kubernetes. One conformance suite per port (tests/conformance) runs over every
implementation, the fakes included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from tuner.errors import Failure
from tuner.trial.answers import Answers
from tuner.trial.rounds import RoundResult

ParamValue = bool | int | float | str
Cancel = Callable[[], bool]  # True once the caller wants it to end; cheap, asked often
Progress = Callable[[str], None]  # one short line for a person


class Phase(StrEnum):
    """What a deployment is for."""

    SEARCH = "search"
    SENTINEL = "sentinel"  # the baseline again, between the trials of the search
    VALIDATION = "validation"
    SIMPLIFY = "simplify"


class State(StrEnum):
    """How a deployment ended."""

    COMPLETE = "complete"  # all its rounds
    STOPPED = "stopped"  # by a stopping rule
    FAILED = "failed"  # it gave no measurement, and the configuration is why
    INTERRUPTED = "interrupted"  # it gave no measurement, and something else is why


@dataclass(frozen=True, slots=True)
class Slot:
    """One of the places in which trials run side by side.

    Attributes:
        index: 0-based, among the slots of its node.
        of: the number of slots on its node; index and of share the node's cores out.
        load: the name of the benchmark actor that is lent to the trial.
        node_id: the Ray node, where the backend needs one (the local one does); else empty.
    """

    index: int = 0
    of: int = 1
    load: str = ""
    node_id: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a deployment is asked before it is loaded.

    Attributes:
        passes: how often for its answers to the fixed prompts; 0 for not at all.
        scored: for the score of the experiment's own command too, where it has one.
    """

    passes: int = 0
    scored: bool = False


@dataclass(frozen=True, slots=True)
class TrialConfig:
    """One deployment to make: a configuration, with what names it.

    Attributes:
        run: the run's name; its first 8 characters start every object's name.
        trial: the number Optuna gave the configuration; 0 is the baseline.
        attempt: 1-based, counted within (trial, phase).
        params: the active parameters' values.
        arguments: engine flags, one argv element each.
        environment: variables for the engine.
        places: values for named places of the deployment, such as `storage.pvc_subpath`.
        accelerators: how many of the serving cluster's accelerators it takes.
        near: the node where the deployments that it is compared with ran; "" where that does not matter. A
            backend that can prefers it.
        asked: for its answers, before it is loaded.
    """

    run: str
    trial: int
    phase: Phase
    attempt: int
    params: dict[str, ParamValue]
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    places: dict[str, ParamValue] = field(default_factory=dict)
    accelerators: int = 0
    near: str = ""
    slot: Slot = Slot()
    asked: Asked = Asked()

    @property
    def name(self) -> str:
        """The deployment's name: a DNS label, the distinguishing part last."""
        letter = {Phase.SEARCH: "a", Phase.SENTINEL: "b", Phase.VALIDATION: "v", Phase.SIMPLIFY: "s"}[
            self.phase
        ]
        return f"{self.run[:8].rstrip('-')}-t{self.trial:04d}-{letter}{self.attempt}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A deployment that has served a request.

    Attributes:
        url: the base, without a path: http://127.0.0.1:8123.
        model: the name to send in requests.
        metrics_url: of the engine's Prometheus metrics; None where it has none.
        token: a bearer token; kept out of every repr.
        ca_pem: certificates to trust instead of the system's, PEM text (the load may run on another machine
            than the deploying); None for the system's.
        node: where it runs, for people and records.
        serving: identifies the serving process ("pid 4711 started 163.2"); a round during which it changed
            does not count.
        engine_version: as the engine tells it; "" where it does not.
        load_cpus: the cores the load is to be pinned to; empty for no pinning.
        cold: True for the first use of this model on this node, None where that is not known.
        times: seconds of each part of coming up, e.g. {"started": 0.1, "healthy": 0.4, "served": 0.1}.
    """

    url: str
    model: str
    metrics_url: str | None = None
    token: str | None = field(default=None, repr=False)
    ca_pem: str | None = field(default=None, repr=False)
    node: str = ""
    serving: str = ""
    engine_version: str = ""
    load_cpus: tuple[int, ...] = ()
    cold: bool | None = None
    times: dict[str, float] = field(default_factory=dict)


class DeploymentBackend(Protocol):
    """Brings deployments up and takes them away. Every method may be repeated without harm."""

    def deploy(
        self, trial: TrialConfig, *, probe: Callable[[Endpoint], None], progress: Progress, cancel: Cancel
    ) -> Endpoint:
        """Bring `trial` up and return once `probe` has passed.

        `probe(endpoint)` sends one real request and raises `LoadError` while it is not served. Whatever
        was started is gone again when this raises.

        Raises:
            ConfigurationRefused, DeployInterrupted, BackendBroken: see tuner.errors.
            Cancelled: `cancel()` said so.
        """
        ...

    def failure(self, name: str) -> Failure | None:
        """Why the deployment no longer serves as it did when it became ready; None while it does."""
        ...

    def log_tail(self, name: str) -> str:
        """The last lines of the engine's log, also after `delete`; "" where there are none."""
        ...

    def delete(self, name: str) -> None:
        """Have it taken away; returns at once, and never raises for one that is not there."""
        ...

    def released(self, name: str) -> bool:
        """Whether its accelerators are free again; True for one that never was."""
        ...

    def sweep(self, run: str) -> list[str]:
        """Take away what dead drivers of `run` left behind; the names of what was found."""
        ...


class LoadError(Exception):
    """A request was not served; one line, with the server's own words where it sent any."""


class Load(Protocol):
    """A session of load against one endpoint: open, warm_up, run_round ..., close.

    One object serves many sessions, one after the other, and knows no Ray.
    """

    def probe(self, endpoint: Endpoint, *, timeout_seconds: float) -> None:
        """Have one small completion served.

        Raises:
            LoadError: it was not.
        """
        ...

    def answers(self, endpoint: Endpoint, asked: Asked, *, cancel: Cancel) -> Answers:
        """What it answers to the experiment's fixed prompts; needs no session.

        Raises:
            LoadError: it does not answer, or without log-probabilities.
            Cancelled: `cancel()` said so; within a second.
        """
        ...

    def open(self, endpoint: Endpoint, *, salt: str, load: float = 1.0) -> None:
        """Open the connections and calibrate prompt lengths; rounds are at `load` times the workload's load.

        Every prompt starts with something made from `salt` and the round, so that no prefix cache helps
        beyond what the workload declares; lengths and arrivals do not depend on `salt`.

        Raises:
            LoadError: the endpoint does not answer, or refuses what the workload asks of it.
        """
        ...

    def warm_up(self, *, seconds: float, cancel: Cancel) -> None:
        """Load as a round does, and record nothing."""
        ...

    def run_round(self, number: int, *, cancel: Cancel) -> RoundResult:
        """One pass over all load points; `number` (1-based) seeds lengths and arrivals.

        Requests that fail are counted, never raised.

        Raises:
            Cancelled: `cancel()` said so; within a second.
        """
        ...

    def close(self) -> None:
        """Drop the connections. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Score:
    """What an objective makes of the rounds so far.

    Attributes:
        values: one per objective, in its own unit (not negated).
        intervals: the 95 % interval of each value; (nan, nan) where it cannot be told.
        violations: SLO metric -> how far beyond the limit, as a share of the limit; <= 0 is within.
        certain_violations: the same for the end of the metric's interval that is kinder to the trial.
        bound_violations: for SLOs on a percentile, the same for its one-sided 95 % upper bound; infinite with
            too few requests for one. Other SLOs are not in it: they stand on the estimate.
        metrics: every metric of the merged rounds, `<point>.<metric>` and, over the points, `<metric>`.
        measured: False where no round may be trusted (all of them client-bound, invalid or contaminated), an
            objective cannot be told (NaN), or an SLO stands on what the engine does not offer.
        reason: one line, why it is not measured; "" where it is.
        unoffered: metrics that an SLO or an objective stands on and the engine does not offer.
    """

    values: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]
    violations: dict[str, float]
    certain_violations: dict[str, float]
    metrics: dict[str, float]
    measured: bool = True
    reason: str = ""
    unoffered: tuple[str, ...] = ()
    bound_violations: dict[str, float] = field(default_factory=dict)

    @property
    def feasible(self) -> bool:
        """Measured, and within every SLO by what was measured."""
        return self.measured and all(v <= 0 for v in self.violations.values())

    @property
    def surely_feasible(self) -> bool:
        """Feasible, and every percentile within its limit by its upper bound too."""
        return self.feasible and all(v <= 0 for v in self.bound_violations.values())

    def expected_feasible(self, *, times: float) -> bool:
        """Whether `times` as many requests of the same kind would be surely feasible, as far as can be told.

        A bound lies beyond the estimate by what falls with the root of the number of requests. Where there
        were too few for a bound the estimate decides.
        """

        def expected(slo: str, bound: float) -> float:
            now = self.violations.get(slo, bound)
            return now if math.isinf(bound) else now + (bound - now) / math.sqrt(times)

        return self.feasible and all(expected(slo, v) <= 0 for slo, v in self.bound_violations.items())


class Objective(Protocol):
    """Rounds -> Score. Pure."""

    def score(self, rounds: Sequence[RoundResult]) -> Score:
        """The score of a trial after these rounds (at least one), percentiles from merged histograms."""
        ...
