"""The one tree of errors, sorted by what the caller does next, and the one list of failure classes.

TunerError                     anything this package says about itself; one line for a person
├── UserError                  the person's mistake: fix the input and run again     (exit code 2)
│   └── SpecError              something in the experiment file, with file and line
├── WorldError                 the machine's or the cluster's: look there            (exit code 1)
│   └── LeaseHeld              another driver works on the same run
├── DeployError                a deployment that did not come up; carries a Failure
│   ├── ConfigurationRefused   condemn: the configuration caused it, it will again
│   ├── DeployInterrupted      retry: the node or the moment caused it
│   └── BackendBroken          stop the run: nothing can be deployed at all
└── Cancelled                  somebody asked for it to end
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FailureClass(StrEnum):
    """Why a deployment gave no measurement. Serves trials.jsonl, replay files and every backend."""

    CRASH = "crash"  # the engine ended by itself before it served
    CRASH_UNDER_LOAD = "crash_under_load"  # it served, and ended or restarted during a round
    OOM_KILLED = "oom_killed"  # host memory: killed by the kernel or the container's limit
    ACCELERATOR_OOM = "accelerator_oom"  # accelerator memory, read from the engine's log
    NEVER_READY = "never_ready"  # alive, but served no request before its deadline
    REQUESTS_FAILED = "requests_failed"  # served the probe, then refused or broke what it was sent
    IMAGE = "image"
    UNSCHEDULABLE = "unschedulable"
    MOUNT = "mount"
    ADMISSION_REFUSED = "admission_refused"
    UNKNOWN_RUNTIME = "unknown_runtime"
    UNKNOWN_MODEL = "unknown_model"
    SPEC_REFUSED = "spec_refused"
    NODE_FAULT = "node_fault"  # the node went away, or the trial's own actor died
    PREEMPTED = "preempted"  # somebody with a higher rank, or its queue, took its place
    CANCELLED = "cancelled"  # a person, or the end of the run, cut it short
    BACKEND_BROKEN = "backend_broken"


@dataclass(frozen=True, slots=True)
class Failure:
    """What is written down of a failed deployment.

    Attributes:
        kind: the class, one of the enumeration.
        message: one line for a person: what, where, and what would be right where that is known.
        log_tail: the last lines of the engine's log, oldest first; empty where there is none.
        exit_code: of the serving process; negative is a signal; None where it did not end.
    """

    kind: FailureClass
    message: str
    log_tail: str = ""
    exit_code: int | None = None


class TunerError(Exception):
    """Base of all; `str(error)` is one line for a person."""

    exit_code = 1


class UserError(TunerError):
    """The person's mistake; nothing was started, or all of it was stopped."""

    exit_code = 2


class SpecError(UserError):
    """A fault in an experiment file: where it stands, what it is, what would be right."""

    def __init__(self, message: str, *, source: str = "", line: int | None = None) -> None:
        place = f"{source}:{line}: " if source and line else f"{source}: " if source else ""
        super().__init__(place + message)
        self.source = source
        self.line = line


class WorldError(TunerError):
    """The machine's or the cluster's fault."""


class LeaseHeld(WorldError):
    """Another live driver holds the run."""


class DeployError(TunerError):
    """A deployment that did not come up."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.kind}: {failure.message}")
        self.failure = failure


class ConfigurationRefused(DeployError):
    """Condemn the configuration: it is the cause, and would fail again."""


class DeployInterrupted(DeployError):
    """Retry, elsewhere where there is an elsewhere: the node or the moment is the cause."""


class BackendBroken(DeployError):
    """Stop the run, condemn nothing: no configuration could be deployed now."""


class Cancelled(TunerError):
    """The caller's `cancel` said so."""
