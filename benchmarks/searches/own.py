"""Fresh runs of the tuner's own search on a surface: the strategy of a real run, replayed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from searches.spending import GRACE
from searches.surfaces import Recorded

from tuner.search.replay import Found, replay

MOST_TRIALS = 400  # then a search counts as having found nothing


def own_runs(names: Sequence[str], seeds: Sequence[int], *, jobs: int, **given: Any) -> dict[str, list[Any]]:
    """Name -> one recorded run a seed, in the form of the peers' (see spending.Spending.to_json).

    Args:
        jobs: processes side by side.
        given: arguments of `replay`, such as sampler or early_stop.
    """
    for library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[library] = "1"  # one search a core
    work = [(name, seed, given) for seed in seeds for name in names]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        found: dict[str, list[Any]] = {name: [] for name in names}
        for (name, _, _), run in zip(work, pool.map(_run, work, chunksize=4), strict=True):
            found[name].append(run)
    return found


_read: dict[str, Recorded] = {}


def _run(work: tuple[str, int, dict[str, Any]]) -> dict[str, Any]:
    name, seed, given = work
    if name not in _read:
        _read[name] = Recorded.read(name)
    recorded = _read[name]
    outcome = replay(
        recorded.experiment,
        recorded.surface,
        seed,
        truth=recorded.truth,
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
