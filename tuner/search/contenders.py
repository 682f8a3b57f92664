"""Which trials of the search the validation deploys again, beside the baseline."""

from __future__ import annotations

from tuner.search.history import History, TrialRecord


def contenders(history: History, *, top: int, more: float) -> list[TrialRecord]:
    """The best few that look better than the baseline; all feasible ones count where it is not.

    What the run drifted by is taken out. Those come first that as many rounds as the validation makes are
    expected to show within every percentile's limit, by its upper bound too.

    Args:
        top: so many at most.
        more: rounds of the validation of one configuration, over those of a trial.
    """
    first = history.records[0].search if history.records else None
    baseline = history.levelled(first) if first is not None else None
    if baseline is None:
        return []
    key = history.preference()
    found = sorted(
        (not score.expected_feasible(times=more), key(score), record.number)
        for record in history.winners()
        if (last := record.search) is not None and (score := history.levelled(last)) is not None
    )
    better = [number for _, worth, number in found if worth < key(baseline)]
    return [history.records[number] for number in better[:top]]
