"""What a desk is given: where its lines go, the study, and who looks on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tuner.results.lines import RoundLine, TrialLine
from tuner.search.history import Deployment, TrialRecord
from tuner.search.strategy import Assignment
from tuner.trial.ports import ParamValue, TrialConfig


class Store(Protocol):
    """Where lines go; each is on disk when the call returns."""

    def append_round(self, line: RoundLine) -> None:
        """One round."""

    def append_trial(self, line: TrialLine) -> None:
        """One ended deployment."""

    def write_log(self, deployment: str, tail: str) -> None:
        """The end of its engine's log."""


class Study(Protocol):
    """What others can read of the search while it runs: see study.StudyMirror."""

    def begin(self, number: int, params: Mapping[str, ParamValue], attempt: int) -> None:
        """A configuration is being deployed for the search, for the first time or again."""

    def round(self, number: int, step: int, value: float) -> None:
        """The mean so far after one of its rounds."""

    def end(self, record: TrialRecord) -> None:
        """It ended."""


class Watcher(Protocol):
    """Somebody who looks on: the live table."""

    def began(self, trial: TrialConfig, assignment: Assignment) -> None:
        """A deployment was handed out."""

    def measured(self, deployment: Deployment) -> None:
        """One more of its rounds is known."""

    def ended(self, deployment: Deployment) -> None:
        """It is over."""
