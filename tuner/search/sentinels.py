"""When the baseline is measured again in the course of a search, which shows whether the run drifts."""

from __future__ import annotations

from tuner.search.history import Deployment, History
from tuner.trial.ports import Phase, State

EVERY = 20  # trials, by default: one in twenty
LONG = 40  # trials of a search that is long enough for a default of any


def default_every(trials: int) -> int | None:
    """After how many trials by default, of a search of so many; None for no sentinel."""
    return EVERY if trials >= LONG else None


def planned(trials: int, every: int | None) -> int:
    """How many a search of so many trials makes, the baseline among the trials."""
    if every is None:
        return 0
    whole, left = divmod(trials - 1, every)
    return whole + (left >= max(1, every // 2))


def sentinels(history: History) -> list[Deployment]:
    """Those that were made, the interrupted ones among them."""
    return history.records[0].in_phase(Phase.SENTINEL)


def is_due(history: History, *, every: int, search_ended: bool, besides: int) -> bool:
    """Whether the next deployment is to be a sentinel; never once the validation has begun.

    After every so many trials that were started; where the search has ended, after half as many, so that the
    last trials lie between two measurements of the baseline.

    Args:
        besides: sentinels that count for nothing here: given up (taken for made), less those that were made
            for something else.
    """
    if any(True for _ in history.deployments(Phase.VALIDATION)):
        return False
    made = sum(d.state is not State.INTERRUPTED for d in sentinels(history)) + besides
    since = len(history.records) - 1 - made * every
    return since >= (max(1, every // 2) if search_ended else every)
