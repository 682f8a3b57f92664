"""One search on a surface, and when it found something."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from tuner.errors import UserError
from tuner.search.earlier.memories import Memories
from tuner.search.replay.assembled import Assembled, assembled
from tuner.search.replay.outcome import Outcome
from tuner.search.replay.surface import Surface
from tuner.search.replay.truth import Truth
from tuner.spec import Experiment
from tuner.spec.search import Search


def replay(
    experiment: Experiment,
    surface: Surface,
    seed: int,
    *,
    sampler: str | None = None,
    early_stop: str | None = None,
    parallel: int | None = None,
    trials: int | None = None,
    accelerators: int | None = None,
    free_suggestions: bool = False,
    until_found: bool = False,
    grace_trials: int | None = None,
    keep_lines: bool = False,
    truth: Truth | None = None,
    memories: Memories | None = None,
    timed: Callable[[], float] = time.perf_counter,
) -> Outcome:
    """Search once, without the validation, and tell when a good configuration was found.

    Args:
        surface: read for this experiment.
        seed: of the strategy and of the noise.
        sampler, early_stop, parallel, trials: in place of the experiment's; `parallel: auto` is 1.
        accelerators: that the trials share; default as many as `parallel` of the widest row take.
        free_suggestions: do not charge the wall time of suggestions to the simulated clock; the same seed
            then gives the same outcome, its two figures of wall time apart.
        until_found: end once a good configuration was measured and recommended.
        grace_trials: with it, end that many trials after it was measured although it is not recommended.
        keep_lines: keep what trials.jsonl would hold.
        truth: of the surface, where it is known already.
        memories: of the earlier runs that the experiment names, where they were read already.
        timed: wall-clock seconds.

    Raises:
        UserError: an argument is wrong, no row is feasible, a row takes more accelerators than there are, or
            `search.warm_start` names no run.
    """
    search = _searching(
        experiment, seed, sampler=sampler, early_stop=early_stop, parallel=parallel, trials=trials
    )
    made = assembled(
        experiment.model_copy(update={"search": search}),
        surface,
        accelerators=accelerators,
        free_suggestions=free_suggestions,
        keep_lines=keep_lines,
        truth=truth,
        memories=memories,
        timed=timed,
    )
    made.simulation.run(until_found=until_found, grace_trials=grace_trials)
    return _outcome(seed, made)


def _searching(experiment: Experiment, seed: int, **given: Any) -> Search:
    """The search section with what replaces parts of it."""
    asked = {key: value for key, value in given.items() if value is not None}
    try:
        return Search.model_validate({**experiment.search.model_dump(), **asked, "seed": seed})
    except ValidationError as error:
        first = error.errors()[0]
        where, got = ".".join(map(str, first["loc"])), first["input"]
        raise UserError(f"search.{where}: got {got!r}; {first['msg']}") from error


def _outcome(seed: int, made: Assembled) -> Outcome:
    history, simulation, tracker = made.strategy.history, made.simulation, made.tracker
    spent, shared = simulation.spent, made.accelerators
    use, of = (simulation.accelerators, shared) if shared else (simulation.places, made.places)
    until = simulation.last_begun
    best = history.best()
    ends = Counter(str(d.state) if d.state else "running" for d in history.deployments())
    return Outcome(
        seed=seed,
        measured=tracker.measured,
        recommended=tracker.recommended,
        kept=tracker.kept,
        seconds=spent.seconds,
        trials=spent.trials,
        accelerator_seconds=spent.accelerator_seconds,
        busy_share=_busy(use.handing_out, of, until),
        busy_share_after_baseline=_busy(use.handing_out - use.alone, of, until - simulation.second_begun),
        suggestion_seconds=sum(simulation.suggesting),
        longest_suggestion_seconds=max(simulation.suggesting, default=0.0),
        states=dict(sorted(ends.items())),
        ended=made.strategy.search_ended or made.strategy.stopped or "a good configuration was found",
        recommendation=dict(best.params) if best else None,
        ratio=made.truth.ratio(best.params) if best else 0.0,
        lines=tuple(made.store.lines),
    )


def _busy(used: float, of: int, seconds: float) -> float:
    """The share of so many that was in use; 1 where that was no time."""
    return used / (of * seconds) if seconds > 0 else 1.0
