"""`runs/<run>/`: the one place where a run is remembered."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuner.errors import UserError, WorldError
from tuner.results import lease as leases
from tuner.results.files import told, write_whole
from tuner.results.journal import Journal
from tuner.results.lines import RoundLine, TrialLine
from tuner.results.plain_json import dumps
from tuner.results.run_state import RunState
from tuner.trial.ports import Phase, TrialConfig

if TYPE_CHECKING:
    import pandas

_LOG_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class RunDirectory:
    """Reads a run; writes it while this object holds the lease (`acquire` ... `release`).

    Attributes:
        root: the directory of all runs.
        name: the run's; its first 8 characters tell it from others.
        path: root / name.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.name = name
        self.path = root / name
        self.report_path = self.path / "report.html"
        self.best_json_path = self.path / "best.json"
        self.best_yaml_path = self.path / "best.yaml"
        self._rounds = Journal(self.path / "rounds.jsonl")
        self._trials = Journal(self.path / "trials.jsonl")
        self._lease = leases.Lease(self.path / "lease")

    @classmethod
    def create(cls, root: Path, name: str, *, experiment_yaml: str, state: RunState) -> RunDirectory:
        """Make `root/name` with the resolved experiment and the first run.json.

        Raises:
            UserError, WorldError: it exists, or cannot be written; one line that names the path.
        """
        made = cls(root, name)
        with told(made.path):
            made.path.mkdir(parents=True)
        write_whole(made.path / "experiment.yaml", experiment_yaml)
        made.write_state(state)
        return made

    @classmethod
    def open(cls, root: Path, name: str) -> RunDirectory:
        """An existing run.

        Raises:
            UserError: there is none.
        """
        found = cls(root, name)
        if not (found.path / "run.json").is_file():
            raise UserError(f"{found.path}: no run here (no run.json); `{root}` holds the runs")
        return found

    # -- holding -----------------------------------------------------------------------------------

    def acquire(self, *, now: float) -> None:
        """Become the one writer.

        Raises:
            LeaseHeld: another driver is; the message says who.
            UserError, WorldError: the directory cannot be written.
        """
        self._lease.acquire(now=now)

    def release(self) -> None:
        """Let another driver write. Never raises."""
        self._rounds.close()
        self._trials.close()
        self._lease.release()

    def holder(self) -> leases.Holder | None:
        """The live driver of this run; None where there is none."""
        return leases.holder(self.path / "lease")

    # -- appending ---------------------------------------------------------------------------------

    def append_round(self, line: RoundLine) -> None:
        """Have `line` on disk.

        Raises:
            UserError, WorldError: it could not be written; nothing of it is left behind.
        """
        self._append(self._rounds, line)

    def append_trial(self, line: TrialLine) -> None:
        """As `append_round`."""
        self._append(self._trials, line)

    def _append(self, journal: Journal, line: RoundLine | TrialLine) -> None:
        if not self._lease.held:
            raise RuntimeError(f"{self.path}: append without the lease; call acquire() first")
        journal.append(line.to_json())

    # -- reading -----------------------------------------------------------------------------------

    def rounds(self) -> list[RoundLine]:
        """All rounds, oldest first; a line that a crash cut short is left out.

        Raises:
            WorldError: rounds.jsonl was damaged by somebody else; the message names the line.
        """
        return [RoundLine.from_json(entry) for entry in self._rounds.read()]

    def trials(self) -> list[TrialLine]:
        """All ended deployments, oldest first; as `rounds`."""
        return [TrialLine.from_json(entry) for entry in self._trials.read()]

    def frame(self) -> pandas.DataFrame:
        """One row per ended deployment; see `tuner.results.frame`."""
        from tuner.results.frame import trials_frame  # noqa: PLC0415  pandas costs half a second

        return trials_frame(self.trials())

    # -- run.json, best.json, logs -----------------------------------------------------------------

    def write_state(self, state: RunState) -> None:
        """Replace run.json."""
        write_whole(self.path / "run.json", dumps(state.to_json(), indent=2) + "\n")

    def state(self) -> RunState:
        """run.json as it is now.

        Raises:
            WorldError: it cannot be read.
        """
        return RunState.from_json(_read_json(self.path / "run.json"))

    def best(self) -> dict[str, Any] | None:
        """best.json; None before the verdict."""
        return _read_json(self.best_json_path) if self.best_json_path.exists() else None

    def write_answers(self, stored: Mapping[str, Any]) -> None:
        """Keep what the baseline answered, with what it differed by from itself."""
        write_whole(self.path / "answers.json", dumps(stored) + "\n")

    def answers(self) -> dict[str, Any] | None:
        """What `write_answers` was given last; None before."""
        path = self.path / "answers.json"
        return _read_json(path) if path.exists() else None

    def experiment_yaml(self) -> str:
        """The resolved experiment; "" where it is missing."""
        path = self.path / "experiment.yaml"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def deployment_name(self, line: RoundLine | TrialLine) -> str:
        """The name that the line's deployment had."""
        return TrialConfig(self.name, line.trial, Phase(line.phase), line.attempt, {}).name

    def log_path(self, deployment: str) -> Path:
        """Where the log tail of a deployment is kept.

        Raises:
            ValueError: the name is not one of a deployment.
        """
        if not _LOG_NAME.fullmatch(deployment):
            raise ValueError(f"deployment name {deployment!r}: letters, digits, '.', '_' and '-'")
        return self.path / "logs" / f"{deployment}.log"

    def write_log(self, deployment: str, tail: str) -> None:
        """Keep the log tail of a deployment."""
        write_whole(self.log_path(deployment), tail)

    def log(self, deployment: str) -> str:
        """The kept log tail; "" where there is none."""
        path = self.log_path(deployment)
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _read_json(path: Path) -> dict[str, Any]:
    with told(path):
        text = path.read_text(encoding="utf-8")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise WorldError(f"{path}: not JSON ({error}); restore or remove it") from error
    if not isinstance(found, dict):
        raise WorldError(f"{path}: not a JSON object; restore or remove it")
    return found
