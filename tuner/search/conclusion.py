"""The end of a run: the verdict from what the validation measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tuner.search.history import Deployment, History, TrialRecord
from tuner.search.other_loads import seen_at_other_loads
from tuner.search.worth import Worth, with_front
from tuner.spec.space import Space
from tuner.trial.objective import Goal
from tuner.trial.ports import Objective, Phase, Score, State
from tuner.verdict import Candidate, Outcome, Searched, Validated, Verdict, decide, without_validation


class Ending(Protocol):
    """What follows the validation."""

    def conclude(self, verdict: Verdict, history: History, candidates: Sequence[int]) -> Verdict:
        """The verdict of the run, from that of its validation."""
        ...


def concluded(
    history: History,
    *,
    candidates: Sequence[TrialRecord],
    space: Space,
    goals: Sequence[Goal],
    objective: Objective,
    interrupted: bool,
    validated: bool,
    ending: Ending | None = None,
    loads: Sequence[float] = (),
) -> Verdict:
    """The verdict of the run; of several objectives with their front, and the gain in each.

    Args:
        ending: has the last word on what the validation found.
        loads: multiples of the load that the deployments of blocks were measured at too.
        candidates: what the validation was planned for, best first; empty where nothing of the search
            looked better than the baseline.
        interrupted: the run was cut short: no gain is claimed.
        validated: a validation was asked for.
    """
    worth = Worth.of(goals, history)
    measured = measured_in(history, Phase.VALIDATION, worth)
    if interrupted:
        found = _unvalidated(history, worth, why="the run was interrupted", search_ended=False)
    elif not validated:
        found = _unvalidated(history, worth, why="validation is switched off", search_ended=True)
    else:
        found = _validated_run(history, measured, candidates, worth, space=space, objective=objective)
        if ending is not None:
            found = ending.conclude(found, history, [r.number for r in candidates])
            measured += measured_in(history, Phase.SIMPLIFY, worth)
        found = seen_at_other_loads(found, history, worth, objective=objective, loads=loads)
    return with_front(found, history, measured, worth) if len(goals) > 1 else found


def measured_in(history: History, phase: Phase, worth: Worth) -> list[Validated]:
    """The deployments of a phase that ended, as the verdict takes them."""
    return [v for d in history.deployments(phase) if (v := _validated(d, worth)) is not None]


def _validated_run(
    history: History,
    measured: Sequence[Validated],
    candidates: Sequence[TrialRecord],
    worth: Worth,
    *,
    space: Space,
    objective: Objective,
) -> Verdict:
    baseline = history.records.get(0)
    if baseline is None:
        return _unvalidated(history, worth, why="nothing was measured", search_ended=True)
    if not candidates and _feasible(baseline):
        tried = sum(r.ended for r in history.records.values()) - 1
        where = f" in {worth.name}" if worth.balance else ""
        headline = (
            f"No better than the baseline: none of {tried} other configurations measured better{where}; "
            "keep it."
        )
        return Verdict(Outcome.NO_BETTER, 0, 0, headline)
    if not measured:
        why = "no deployment of the validation ended" if candidates else "nothing was worth validating"
        return _unvalidated(history, worth, why=why, search_ended=True)

    def scored(trial: int, blocks: Sequence[int]) -> Score | None:
        rounds = [
            r
            for d in history.records[trial].in_phase(Phase.VALIDATION)
            if d.block in blocks and d.state is State.COMPLETE
            for r in d.rounds
        ]
        return objective.score(rounds) if rounds else None

    def merged(trial: int, blocks: Sequence[int]) -> dict[str, float]:
        score = scored(trial, blocks)
        return score.violations if score else {}

    def bounded(trial: int, blocks: Sequence[int]) -> dict[str, float]:
        score = scored(trial, blocks)
        return score.bound_violations if score else {}

    return decide(
        measured,
        [
            Candidate(r.number, space.distance(r.params, baseline.params), rank)
            for rank, r in enumerate(candidates)
        ],
        maximize=worth.maximize,
        metric=worth.name,
        merge=merged,
        bound=bounded,
    )


def _unvalidated(history: History, worth: Worth, *, why: str, search_ended: bool) -> Verdict:
    return without_validation(
        [s for r in history.records.values() if (s := _searched(r, worth)) is not None],
        maximize=worth.maximize,
        why=why,
        search_ended=search_ended,
    )


def _feasible(record: TrialRecord) -> bool:
    last = record.search
    return (
        last is not None and last.state is State.COMPLETE and last.score is not None and last.score.feasible
    )


def _validated(deployment: Deployment, worth: Worth) -> Validated | None:
    if deployment.block is None or deployment.state in (None, State.INTERRUPTED):
        return None
    score = deployment.score
    failure = deployment.failure if deployment.state is State.FAILED else None  # else it is of another load
    return Validated(
        trial=deployment.trial,
        block=deployment.block,
        value=worth.value(score),
        violations=score.violations if score is not None else {},
        metrics=score.metrics if score is not None else {},
        failure=f"{failure.kind}: {failure.message}" if failure is not None else "",
        node=deployment.node,
        cold=bool(deployment.cold),
    )


def _searched(record: TrialRecord, worth: Worth) -> Searched | None:
    last = record.search
    if last is None or last.state not in (State.COMPLETE, State.STOPPED, State.FAILED):
        return None
    score = last.score
    if last.state is State.STOPPED and (score is None or score.feasible):
        return None  # it may be the nearest to being feasible, and never the best
    return Searched(
        trial=record.number,
        value=worth.value(score),
        violations=score.violations if score is not None else {},
        failed=last.state is State.FAILED,
    )
