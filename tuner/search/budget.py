"""When the search has spent enough. What validation needs is kept back."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.search.history import History
from tuner.search.outlook import FEWEST_TRIALS, Outlook, little_to_gain, weight_of_failure
from tuner.trial.ports import State

_KEPT = "validation's share kept back"


@dataclass(frozen=True, slots=True)
class Limits:
    """The budget of a run; None is no limit.

    Attributes:
        trials: configurations, the baseline among them.
        hours: of wall time, over all starts of the run.
        accelerator_hours: until released, over all deployments.
        failures_in_a_row: trials that failed one after another for one cause.
        no_better_for: trials since the best one was found.
        minimum_gain: the least that one more trial has to be expected to gain, as a share of the best.
    """

    trials: int
    hours: float | None = None
    accelerator_hours: float | None = None
    failures_in_a_row: int | None = 5
    no_better_for: int | None = None
    minimum_gain: float | None = None


def spent(limits: Limits, history: History, *, elapsed_seconds: float, reserve: Reserve) -> str | None:
    """Why no new trial may start; None while one may."""
    if len(history.records) >= limits.trials:
        return f"all {limits.trials} trials of the budget were started"
    if told := beyond(limits, history, elapsed_seconds=elapsed_seconds, reserve=reserve):
        return f"the budget of {told} is spent, {_KEPT}"
    if failing := _same_failures(history, limits.failures_in_a_row):
        return failing
    return _no_better(history, limits.no_better_for)


def beyond(limits: Limits, history: History, *, elapsed_seconds: float, reserve: Reserve) -> str:
    """The limit of hours or accelerator-hours that would be passed; "" for none."""
    if limits.hours is not None and elapsed_seconds + reserve.seconds >= limits.hours * 3600:
        return f"{limits.hours:g} hours"
    used = reserve.accelerator_seconds + sum(d.accelerator_seconds for d in history.deployments())
    if limits.accelerator_hours is not None and used >= limits.accelerator_hours * 3600:
        return f"{limits.accelerator_hours:g} accelerator-hours"
    return ""


@dataclass(frozen=True, slots=True)
class Reserve:
    """What validation is expected to cost."""

    seconds: float = 0.0
    accelerator_seconds: float = 0.0


def reserve_for(history: History, *, deployments: int, parallel: int, scale: float) -> Reserve:
    """Validation's share, judged by the baseline's own deployment; nothing before that has ended.

    Args:
        scale: rounds of a deployment in validation, over those in the search.
    """
    baseline = history.records.get(0)
    last = baseline.search if baseline else None
    if last is None or last.state is None:
        return Reserve()
    longer = 1.0
    if last.seconds > 0:
        longer += (scale - 1) * last.times.get("rounds", 0.0) / last.seconds
    each, accelerators = last.seconds * longer, last.accelerator_seconds * longer
    return Reserve(each * deployments / parallel, accelerators * deployments)


def settled(limits: Limits, history: History, next_one: Outlook | None) -> str | None:
    """Why the search is over although more may be tried: too little is left to gain; None where it goes on.

    Args:
        next_one: what is expected of the configuration that would be tried next.
    """
    begun = len(history.records)
    if limits.minimum_gain is None or begun < FEWEST_TRIALS:
        return None
    outlooks = [history.records[number].outlook for number in sorted(history.records)]
    if not little_to_gain([*outlooks, next_one], minimum=limits.minimum_gain):
        return None
    share = f"{100 * limits.minimum_gain:.3g} %"
    return f"stopped after {begun} trials: what is left to gain is expected below {share}"


def _same_failures(history: History, limit: int | None) -> str | None:
    """The trials that failed one after another for one cause; those that were to be expected count half."""
    if limit is None:
        return None
    causes, weight = [], 0.0
    for record in reversed(list(history.records.values())):
        last = record.search
        if last is None or last.state is None:
            continue
        if last.state is not State.FAILED or last.failure is None:
            break
        causes.append(last.failure.kind)
        if causes[-1] != causes[0]:
            break
        weight += weight_of_failure(record.outlook)
        if weight >= limit:
            return f"{len(causes)} trials in a row failed: {causes[0]}"
    return None


def _no_better(history: History, limit: int | None) -> str | None:
    if limit is None:
        return None
    newest = history.newest_best()
    if newest is None:
        return None
    since = sum(r.ended and r.number > newest for r in history.records.values())
    if since < limit:
        return None
    return f"no better configuration for {since} trials"
