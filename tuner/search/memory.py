"""What an earlier start of the run remembers: the history, and the half-measured trials to start again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from tuner.results.lines import RoundLine, TrialLine
from tuner.search.history import Deployment, History, Key, TrialRecord
from tuner.search.outlook import Outlook
from tuner.search.strategy import Assignment
from tuner.search.study import StudyMirror
from tuner.trial.objective import Goal
from tuner.trial.ports import Objective, Phase, State
from tuner.trial.rounds import RoundResult


def recalled(
    rounds: Sequence[RoundLine],
    trials: Sequence[TrialLine],
    *,
    goals: Sequence[Goal],
    objective: Objective,
) -> History:
    """The history that the lines tell.

    Rounds without an ended deployment were cut off: they are kept as an interrupted attempt, which counts
    for the numbering of attempts and for nothing else. Where no line tells the parameters either, `lost`
    keeps the number from being given to another configuration.
    """
    history = History(goals)
    measured: dict[Key, list[RoundResult]] = defaultdict(list)
    for line in rounds:
        measured[line.key].append(line.round)
    for ended in sorted(trials, key=lambda t: t.started):
        record = history.records.get(ended.trial) or TrialRecord(ended.trial, dict(ended.params))
        if ended.expected_to_deploy is not None:
            record.outlook = Outlook(0, ended.expected_to_deploy, None)
        history.add(record)
        record.deployments.append(_deployment(ended, measured.pop(ended.key, []), objective))
    for (number, phase, attempt), cut in measured.items():
        if number not in history.records:
            if phase is not Phase.VALIDATION:  # its parameters were in the study alone, or nowhere
                history.lost[number] = max(attempt, history.lost.get(number, 0))
        else:
            deployment = Deployment(number, phase, attempt, rounds=cut, state=State.INTERRUPTED)
            history.records[number].deployments.append(deployment)
    for record in history.records.values():
        record.deployments.sort(key=lambda d: (d.phase, d.attempt))
    return history


def unfinished(history: History, study: StudyMirror, *, rounds: int) -> list[Assignment]:
    """Search trials that were begun and never ended, each as its next attempt; they join the history.

    None once the validation has begun: what it compares is settled then.
    """
    for number, (params, attempts) in study.unfinished().items():
        record = history.records.setdefault(number, TrialRecord(number, params))
        begun = max(attempts, history.lost.pop(number, 0))
        known = {d.attempt for d in record.in_phase(Phase.SEARCH)}
        for attempt in range(1, begun + 1):
            if attempt not in known:
                lost = Deployment(number, Phase.SEARCH, attempt, state=State.INTERRUPTED)
                record.deployments.append(lost)
    again: list[Assignment] = []
    if any(True for _ in history.deployments(Phase.VALIDATION)):
        return again
    for number in sorted(history.records):
        record = history.records[number]
        if not record.ended:
            attempt = 1 + max((d.attempt for d in record.in_phase(Phase.SEARCH)), default=0)
            again.append(Assignment(number, Phase.SEARCH, attempt, record.params, rounds))
    return again


def _deployment(line: TrialLine, rounds: list[RoundResult], objective: Objective) -> Deployment:
    every = sorted(rounds, key=lambda r: r.number)
    rounds = [r for r in every if r.load == 1]
    told = line.trial == 0 and line.phase in (Phase.SEARCH, Phase.SENTINEL)
    return Deployment(
        trial=line.trial,
        phase=line.phase,
        attempt=line.attempt,
        block=line.block,
        rounds=rounds,
        scores=[objective.score(rounds[: i + 1]) for i in range(len(rounds))],
        each=[objective.score([r]) for r in rounds if r.usable] if told else [],
        other_loads=[r for r in every if r.load != 1],
        state=line.state,
        failure=line.failure,
        reason=line.reason,
        node=line.node,
        cold=line.cold,
        times=line.times,
        seconds=line.ended - line.started,
        accelerator_seconds=line.accelerator_seconds,
    )
