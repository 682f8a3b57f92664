"""What runs afresh each time: the tuner's own search, replayed, and what is drawn by chance."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import Any

from searches import by_chance
from searches.by_chance import Chance
from searches.spending import GRACE
from searches.surfaces import Recorded, Split

from tuner.search.replay import Found, replay

MOST_TRIALS = 400  # then a search counts as having found nothing


def own_runs(
    names: Sequence[str],
    seeds: Sequence[int],
    *,
    jobs: int,
    prepared: Callable[[], None] | None = None,
    **given: Any,
) -> dict[str, list[Any]]:
    """Name -> one recorded run a seed, in the form of the peers' (see spending.Spending.to_json).

    Args:
        jobs: processes side by side.
        prepared: called first in each of them.
        given: arguments of `replay`, such as sampler or early_stop.
    """
    work = [(name, seed, given) for seed in seeds for name in names]
    with _pool(jobs, prepared) as pool:
        found: dict[str, list[Any]] = {name: [] for name in names}
        for (name, _, _), run in zip(work, pool.map(_run, work, chunksize=4), strict=True):
            found[name].append(run)
    return found


def chance_costs(names: Sequence[str], split: Split, *, jobs: int) -> dict[str, Chance]:
    """Name -> what random and grid cost there."""
    with _pool(jobs) as pool:
        return dict(zip(names, pool.map(_chance, names, [split] * len(names)), strict=True))


def _chance(name: str, split: Split) -> Chance:
    return by_chance.chance_of(_recorded(name), split.random_seeds)


def _pool(jobs: int, prepared: Callable[[], None] | None = None) -> ProcessPoolExecutor:
    for library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[library] = "1"  # one search a core
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=prepared)


@cache
def _recorded(name: str) -> Recorded:
    return Recorded.read(name)


def _run(work: tuple[str, int, dict[str, Any]]) -> dict[str, Any]:
    name, seed, given = work
    recorded = _recorded(name)
    outcome = replay(
        recorded.experiment,
        recorded.surface,
        seed,
        truth=recorded.truth,
        timed=time.process_time,
        **{"parallel": 1, "trials": MOST_TRIALS, "until_found": True, "grace_trials": GRACE, **given},
    )
    return {
        "seed": seed,
        "trials": outcome.trials,
        "seconds": outcome.seconds,
        "measured": _pair(outcome.measured),
        "recommended": _pair(outcome.recommended),
        "suggestion_seconds": outcome.suggestion_seconds / max(1, outcome.trials),
        "longest_suggestion_seconds": outcome.longest_suggestion_seconds,
        "ended": outcome.ended,
    }


def _pair(found: Found | None) -> tuple[float, int] | None:
    return (found.seconds, found.trials) if found is not None else None
