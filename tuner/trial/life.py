"""One trial's life: deploy, warm up, rounds, release. Knows no Ray and no Kubernetes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace

from tuner.errors import (
    BackendBroken,
    Cancelled,
    ConfigurationRefused,
    DeployError,
    DeployInterrupted,
    Failure,
    FailureClass,
    TunerError,
    UserError,
)
from tuner.trial.answers import Answers
from tuner.trial.part import Part
from tuner.trial.ports import (
    Cancel,
    DeploymentBackend,
    Endpoint,
    Load,
    LoadError,
    Progress,
    State,
    TrialConfig,
)
from tuner.trial.redaction import redacted_failure, secrets_among
from tuner.trial.rounds import PointResult, RoundResult
from tuner.trial.step import Step

PROBE_SECONDS = 10.0
RELEASE_SECONDS = 120.0  # beyond the engine's own time to stop; a slot still held then is broken
_POLL_SECONDS = 0.02
_OF_OTHERS = (FailureClass.NODE_FAULT, FailureClass.PREEMPTED)  # no matter of the configuration


class TrialLife:
    """Steps one deployment through its rounds; `release` is called whatever happens.

    Args:
        rounds: after this many it is complete, but for one at each of `loads`.
        loads: multiples of the workload's load, measured after the rounds, a round each. A configuration that
            fails there has been measured all the same: it ends as complete, with the failure.
        warmup_seconds: of load before the first round.
        clock: monotonic seconds.
        now: Unix time.
        sleep: waits that many seconds.
        previous: deployments that had this slot, or this actor, before; they must be released first.
        stop_seconds: that an engine may take to stop.
    """

    def __init__(
        self,
        trial: TrialConfig,
        *,
        backend: DeploymentBackend,
        load: Load,
        rounds: int,
        warmup_seconds: float,
        clock: Callable[[], float],
        now: Callable[[], float],
        sleep: Callable[[float], None],
        progress: Progress,
        cancel: Cancel,
        previous: Sequence[str] = (),
        stop_seconds: float = 0.0,
        loads: Sequence[float] = (),
    ) -> None:
        self.trial = trial
        self._backend = backend
        self._load = load
        self._rounds = rounds
        self._loads = tuple(loads)
        self._warmup_seconds = warmup_seconds
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._progress = progress
        self._cancel = cancel
        self._previous = previous
        self._release_seconds = stop_seconds + RELEASE_SECONDS
        self.attempted = False  # whether a deployment was asked for
        self._endpoint: Endpoint | None = None
        self._begun = now()
        self._first_request: float | None = None
        self._secrets = secrets_among(os.environ)  # an engine here has them too, and may print them
        self._answers: Answers | None = None  # until they were told
        self._done = 0
        self._times: dict[str, float] = {}

    def step(self) -> Step:
        """The next round; the first call deploys and warms up before it. Never raises a DeployError."""
        try:
            if self._endpoint is None:
                self._come_up()
            return self._measure() if self._done < self._rounds else self._measure_at(self._endpoint)
        except Cancelled as error:
            return self._end(State.INTERRUPTED, Failure(FailureClass.CANCELLED, str(error) or "cancelled"))
        except ConfigurationRefused as error:
            return self._end(State.FAILED, error.failure)
        except DeployInterrupted as error:
            return self._end(State.INTERRUPTED, error.failure)
        except BackendBroken as error:
            return self._end(State.INTERRUPTED, error.failure, stops=True)
        except UserError as error:  # this node lacks something that the experiment names
            failure = Failure(FailureClass.BACKEND_BROKEN, str(error))
            return self._end(State.INTERRUPTED, failure, stops=True)

    def release(self) -> None:
        """Have the deployment taken away and the connections dropped. Never raises, never waits.

        Where none was asked for nothing is this one's: the trial may be running in another process.
        """
        if self.attempted:
            self._backend.delete(self.trial.name)
            self._load.close()

    def _come_up(self) -> None:
        with self._part("waited"):
            self._wait_for_release()
        self._progress("deploying")
        self.attempted = True
        began = self._clock()
        try:
            endpoint = self._backend.deploy(
                self.trial, probe=self._probe, progress=self._progress, cancel=self._cancel
            )
        except TunerError:  # no endpoint, which would tell the parts
            self._times["deploying"] = self._clock() - began
            raise
        self._times.update(endpoint.times)
        self._endpoint = endpoint
        try:
            if self.trial.asked.passes:
                self._progress("asking for its answers")
                with self._part("answers"):
                    self._answers = self._load.answers(endpoint, self.trial.asked, cancel=self._cancel)
            with self._part("opened"):
                self._load.open(endpoint, salt=self.trial.name)
            self._progress("warming up")
            with self._part("warmup"):
                self._load.warm_up(seconds=self._warmup_seconds, cancel=self._cancel)
        except LoadError as error:
            raise self._not_served(error) from error

    def _probe(self, endpoint: Endpoint) -> None:
        self._first_request = self._first_request or self._now()
        self._load.probe(endpoint, timeout_seconds=PROBE_SECONDS)

    def _wait_for_release(self) -> None:
        deadline = self._clock() + self._release_seconds
        held = list(dict.fromkeys(self._previous))
        for name in held:
            self._backend.delete(name)  # the actor that deployed it may have died before it could
        while held := [name for name in held if not self._backend.released(name)]:
            if self._cancel():
                raise Cancelled("cancelled while waiting for the slot")
            if self._clock() > deadline:
                message = f"{held[0]} still holds the slot after {self._release_seconds:.0f} s"
                raise BackendBroken(Failure(FailureClass.BACKEND_BROKEN, message))
            self._sleep(_POLL_SECONDS)

    def _measure(self) -> Step:
        number = self._done + 1
        self._progress(f"round {number}/{self._rounds}")
        with self._part("rounds"):
            try:
                measured = self._load.run_round(number, cancel=self._cancel)
            except LoadError as error:
                raise self._not_served(error) from error
        failure = self._backend.failure(self.trial.name)
        if failure is not None and failure.kind in _OF_OTHERS:
            raise DeployInterrupted(failure)
        if failure is None and (refused := _all_failed(measured.points)):
            failure = Failure(FailureClass.REQUESTS_FAILED, refused, self._backend.log_tail(self.trial.name))
        if failure is not None:
            return self._end(State.FAILED, failure)
        return self._went_well(measured)

    def _measure_at(self, endpoint: Endpoint | None) -> Step:
        """The next of the other loads, on the deployment that has its rounds."""
        assert endpoint is not None
        number, load = self._done + 1, self._loads[self._done - self._rounds]
        self._progress(f"at {load:g} times the load")
        failure = None
        with self._part("other loads"):
            try:
                self._load.open(endpoint, salt=f"{self.trial.name}-x{load:g}", load=load)
                measured = self._load.run_round(number, cancel=self._cancel)
            except LoadError as error:
                failure = Failure(FailureClass.REQUESTS_FAILED, str(error))
        failure = self._backend.failure(self.trial.name) or failure
        if failure is not None and failure.kind in _OF_OTHERS:
            raise DeployInterrupted(failure)
        if failure is None and (refused := _all_failed(measured.points)):
            failure = Failure(FailureClass.REQUESTS_FAILED, refused)
        if failure is None:
            return self._went_well(measured)
        said = replace(failure, message=f"at {load:g} times the load: {failure.message}")
        return self._said(None, State.COMPLETE, said)

    def _went_well(self, measured: RoundResult) -> Step:
        self._done = measured.number
        complete = State.COMPLETE if self._done >= self._rounds + len(self._loads) else None
        return self._said(measured, complete, None)

    def _not_served(self, error: LoadError) -> DeployError:
        """Its own failure where it has one, else what the client saw; a lost node condemns nothing."""
        failure = self._backend.failure(self.trial.name) or Failure(
            FailureClass.REQUESTS_FAILED, str(error), self._backend.log_tail(self.trial.name)
        )
        lost = failure.kind in _OF_OTHERS
        return DeployInterrupted(failure) if lost else ConfigurationRefused(failure)

    def _end(self, state: State, failure: Failure, *, stops: bool = False) -> Step:
        return self._said(None, state, failure, stops=stops)

    def _said(
        self,
        measured: RoundResult | None,
        ended: State | None,
        failure: Failure | None,
        *,
        stops: bool = False,
    ) -> Step:
        endpoint = self._endpoint
        failure = redacted_failure(failure, self._secrets) if failure else None
        answers, self._answers = self._answers, None
        return Step(
            round=measured,
            ended=ended,
            failure=failure,
            stops_run=stops,
            times={k: round(v, 4) for k, v in self._times.items()},
            node=endpoint.node if endpoint else "",
            engine_version=endpoint.engine_version if endpoint else "",
            cold=endpoint.cold if endpoint else None,
            begun=self._begun,
            first_request=self._first_request,
            answers=answers,
        )

    def _part(self, name: str) -> Part:
        return Part(self._times, name, self._clock)


def _all_failed(points: tuple[PointResult, ...]) -> str:
    """One line where a load point had no success and some failure; else empty."""
    for point in points:
        if point.requests == 0 and point.errors:
            worst = max(point.errors, key=lambda kind: point.errors[kind])
            total = sum(point.errors.values())
            return f"load point {point.point}: none of {total} requests succeeded, most often {worst}"
    return ""
