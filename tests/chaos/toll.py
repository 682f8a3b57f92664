"""What a run must not show after kills: lines lost or doubled, trials lost, orphans, wrong classes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from storm import MOST_ATTEMPTS, Kill, Story

_BEFORE_SECONDS = 15.0  # after a kill, within which a deployment may meet an actor that is not back yet
_AFTER_SECONDS = 2.0  # between a kill and a deployment's end as it is written down
_FINAL = ("complete", "stopped", "failed")
_KILLED_ENGINE = ("crash_under_load", "oom_killed")

Json = dict[str, Any]


@dataclass(frozen=True)
class Expected:
    """What is known of the experiment.

    Attributes:
        trials: how many its search has.
        crashes: whether a configuration crashes by itself, by its parameters.
        lost_kinds: classes of a deployment that something else than its configuration ended.
    """

    trials: int
    crashes: Callable[[Mapping[str, Any]], bool]
    lost_kinds: tuple[str, ...] = ("node_fault", "crash")


@dataclass
class Toll:
    """The counts, all of which should be 0, and what they are of.

    Attributes:
        given_up: trials that were interrupted as often as one session takes.
    """

    lost_lines: int = 0
    doubled_lines: int = 0
    lost_trials: int = 0
    orphans: int = 0
    wrong_classes: int = 0
    other: int = 0
    given_up: int = 0
    what: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.what

    def add(self, count: str, lines: list[str]) -> None:
        """Take findings in."""
        setattr(self, count, getattr(self, count) + len(lines))
        self.what += [f"{count}: {line}" for line in lines]


def toll_of(run: Path, story: Story, expected: Expected) -> Toll:
    """Look at a run that has come to its end."""
    rounds, trials = (_lines(run / f"{name}.jsonl") for name in ("rounds", "trials"))
    found = Toll(lost_lines=story.lost_lines)
    if story.lost_lines:
        found.what.append(f"lost_lines: {story.lost_lines}")
    found.add("doubled_lines", _doubled(rounds, trials))
    lost, found.given_up = _lost(trials, story.kills, expected)
    found.add("lost_trials", lost)
    found.add("orphans", story.orphans)
    found.add("wrong_classes", _wrong_classes(trials, story.kills, run.name[:8], expected))
    found.add("other", [*story.faults, *_of_study(run, trials)])
    return found


def _doubled(rounds: list[Json], trials: list[Json]) -> list[str]:
    """Keys that stand twice, and trials of the search that ended twice."""
    keys = Counter(
        f"round {line['trial']} {line['phase']} {line['attempt']} {line['round']['number']}"
        for line in rounds
    )
    keys += Counter(f"trial {line['trial']} {line['phase']} {line['attempt']}" for line in trials)
    keys += Counter(
        f"end of {line['trial']} {line['phase']} {line['block']}"
        for line in trials
        if line["state"] in _FINAL and line["phase"] in ("search", "validation")
    )
    return [f"{key} stands {count} times" for key, count in keys.items() if count > 1]


def _lost(trials: list[Json], kills: list[Kill], expected: Expected) -> tuple[list[str], int]:
    """Trials of the search without an end, and how many of them were given up as they are to be."""
    ended = {line["trial"] for line in trials if line["phase"] == "search" and line["state"] in _FINAL}
    missing = set(range(expected.trials)) - ended
    cut = Counter(
        line["trial"] for line in trials if line["phase"] == "search" and line["state"] == "interrupted"
    )
    given_up = {trial for trial in missing if cut[trial] >= MOST_ATTEMPTS}
    return [f"trial {trial} never ended" for trial in sorted(missing - given_up)], len(given_up)


def _wrong_classes(trials: list[Json], kills: list[Kill], short: str, expected: Expected) -> list[str]:
    found = []
    for line in trials:
        letter = {"search": "a", "validation": "v", "sentinel": "b", "simplify": "s"}[line["phase"]]
        name = f"{short}-t{line['trial']:04d}-{letter}{line['attempt']}"
        during = [
            kill
            for kill in kills
            if line["started"] - _BEFORE_SECONDS < kill.at < line["ended"] + _AFTER_SECONDS
        ]
        if wrong := _wrong(line, name, during, expected):
            found.append(f"{name} {line['state']}: {wrong}")
    return found


def _wrong(line: Json, name: str, during: list[Kill], expected: Expected) -> str:
    """What of a deployment's end is not as what happened to it; "" for nothing."""
    failure = line["failure"] or {}
    kind, message = failure.get("kind"), failure.get("message", "")
    own = any(kill.deployment == name for kill in during)
    crashes = expected.crashes(line["params"])
    if line["state"] == "interrupted":
        if not during:
            return f"nothing was killed, and it is {kind}: {message}"
        return "" if kind in expected.lost_kinds else f"{kind}: {message}"
    if line["state"] == "failed" and crashes:
        return "" if kind == "crash" and "SIGKILL" not in message else f"it crashes by itself, and is {kind}"
    if line["state"] == "failed":
        return "" if own and kind in _KILLED_ENGINE else f"{kind}: {message}"
    return "it crashes by itself" if crashes else ""


def _of_study(run: Path, trials: list[Json]) -> list[str]:
    """Where the study and the lines differ; "" where the run keeps no study of its own."""
    file = run / "study.db"
    if not file.exists():
        return []
    told = {
        trial.number: trial
        for trial in optuna.load_study(study_name=run.name, storage=f"sqlite:///{file}").trials
    }
    ended = {line["trial"]: line for line in trials if line["phase"] == "search" and line["state"] in _FINAL}
    words = {"complete": "COMPLETE", "stopped": "PRUNED", "failed": "PRUNED"}
    wrong = [
        f"study: trial {number} is {trial.state.name}"
        for number, trial in told.items()
        if number in ended and trial.state.name != words[ended[number]["state"]]
    ]
    return wrong + [f"study: trial {number} is missing" for number in ended.keys() - told.keys()]


def _lines(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
