"""One line of what a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tuner.errors import TunerError, UserError

_RIGHT = "; would be right: "


class Level(StrEnum):
    """What a finding means for the run."""

    OK = "ok"
    WARNING = "warning"  # it may run; or it could not be looked at
    ERROR = "error"  # it cannot run


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing.

    Attributes:
        subject: the thing: "claim models".
        text: what it is like, one line.
        remedy: what would be right, or what to do; "" where there is nothing to do.
        persons: whether an error is the person's mistake rather than the cluster's state.
    """

    level: Level
    subject: str
    text: str
    remedy: str = ""
    persons: bool = False

    @property
    def line(self) -> str:
        """For a person."""
        return f"{self.subject}: {self.text}" + (f"{_RIGHT}{self.remedy}" if self.remedy else "")


def ok(subject: str, text: str) -> Finding:
    """As it should be."""
    return Finding(Level.OK, subject, text)


def warning(subject: str, text: str, remedy: str = "") -> Finding:
    """It may run; or it could not be looked at."""
    return Finding(Level.WARNING, subject, text, remedy)


def mistake(subject: str, text: str, remedy: str) -> Finding:
    """An error that the person makes right in the experiment or by creating what it names."""
    return Finding(Level.ERROR, subject, text, remedy, persons=True)


def fault(subject: str, text: str, remedy: str) -> Finding:
    """An error that is the cluster's state."""
    return Finding(Level.ERROR, subject, text, remedy)


def not_looked(subject: str, right: str) -> Finding:
    """A check whose right is absent; `right` such as "get persistentvolumeclaims"."""
    return warning(
        subject,
        f"not checked: the right to {right} is not given",
        "cluster/rbac.yaml and cluster/rbac-optional.yaml",
    )


def parted(subject: str, line: str) -> Finding:
    """The person's mistake that `line` tells, its remedy apart."""
    text, _, remedy = line.partition(_RIGHT)
    return mistake(subject, text, remedy)


def from_error(subject: str, error: TunerError) -> Finding:
    """What an error says."""
    text, _, remedy = str(error).partition(_RIGHT)
    return Finding(Level.ERROR, subject, text, remedy, persons=isinstance(error, UserError))
