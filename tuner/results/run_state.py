"""run.json: what a run is of, how far it has come, and where its time went."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tuner.results.plain_json import numbers
from tuner.trial.objective import Goal


class RunStatus(StrEnum):
    """How far a run has come. A driver that was killed leaves RUNNING behind; the lease tells."""

    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class RunState:
    """The run as a whole; replaced, never mended.

    Attributes:
        experiment: its name.
        experiment_hash: tells whether an unfinished run is of the same experiment.
        started: Unix time of its first start.
        ended: Unix time at which the last driver ended in good order.
        sessions: how many drivers have worked on it.
        goals: the objectives, the first one leading.
        slos: metric -> limit.
        parameters: the names of all parameters, in the file's order.
        log_parameters: those searched on a logarithmic scale.
        planned_trials: the search's trials, the baseline among them; None for no bound.
        planned_blocks: of the validation; 0 for none.
        planned_arms: configurations in each block, the baseline among them; 0 for none.
        planned_rounds: of each deployment of the validation; 0 in runs that did not note it.
        startup_seconds: from the command to the first request, by part.
        search_ended: why the search ended; "" while it goes on.
        elapsed_seconds: wall time of all sessions together, without pauses.
        paused_until: Unix time at which a run that is paused (search.window) goes on; None for one at work.
        spent_seconds: of all deployments, by part; trials that ran side by side count each for itself.
        importance: parameter -> share of the objective's variance; empty until it is computed.
        machine: facts about the machine or cluster, for people.
    """

    experiment: str
    experiment_hash: str
    started: float
    status: RunStatus = RunStatus.RUNNING
    ended: float | None = None
    sessions: int = 1
    goals: tuple[Goal, ...] = ()
    slos: dict[str, float] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()
    log_parameters: tuple[str, ...] = ()
    planned_trials: int | None = None
    planned_blocks: int = 0
    planned_arms: int = 0
    planned_rounds: int = 0
    startup_seconds: dict[str, float] = field(default_factory=dict)
    search_ended: str = ""
    elapsed_seconds: float = 0.0
    paused_until: float | None = None
    spent_seconds: dict[str, float] = field(default_factory=dict)
    importance: dict[str, float] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> RunState:
        """What `to_json` wrote; fields it does not know are passed over."""
        names = {f.name for f in dataclasses.fields(cls)}
        known = {key: value for key, value in stored.items() if key in names}
        known["status"] = RunStatus(stored["status"])
        known["goals"] = tuple(Goal(g["metric"], g["maximize"]) for g in stored.get("goals", ()))
        for row in ("parameters", "log_parameters"):
            known[row] = tuple(stored.get(row, ()))
        for table in ("slos", "startup_seconds", "spent_seconds", "importance"):
            known[table] = numbers(stored.get(table, {}))
        return cls(**known)
