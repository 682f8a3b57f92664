"""How surely a trial keeps its limits, in words: by what was measured, and by its percentiles' bounds."""

from __future__ import annotations

import math

from tuner.results.figures import figure, limit_text
from tuner.results.overview import BASELINE, Overview
from tuner.spec.metrics import METRICS
from tuner.trial.objective import MergedObjective
from tuner.trial.ports import Score
from tuner.verdict.sentences import misses


def merged_score(seen: Overview, trial: int) -> Score | None:
    """Over all its validation rounds where there are any, else over those of the search; None without."""
    of_validation = [line for line in seen.validation if line.trial == trial and line.values]
    lines = of_validation or [line for line in seen.search if line.trial == trial]
    rounds = [one.round for line in lines for one in seen.rounds_of(line.key)]
    if not rounds or not seen.state.goals:
        return None
    return MergedObjective(seen.state.goals, seen.state.slos).score(rounds)


def limits_json(seen: Overview, trial: int) -> dict[str, dict[str, float | None]]:
    """For best.json: each SLO's limit, what was measured, and a percentile's upper bound; null for none."""
    score = merged_score(seen, trial)
    found: dict[str, dict[str, float | None]] = {}
    for slo, limit in seen.state.slos.items():
        beyond = math.inf if score is None else score.bound_violations.get(slo, math.inf)
        found[slo] = {
            "limit": limit,
            "measured": None if score is None else score.metrics.get(slo),
            "upper_bound": None if math.isinf(beyond) else limit * (1 + beyond),
        }
    return found


def baseline_told(seen: Overview) -> list[str]:
    """That the baseline misses a limit, or does not surely keep one; [] where it does, or is not known."""
    line = seen.line_of(BASELINE)
    if line is None or not line.values or not line.violations:
        return []
    if any(not v <= 0 for v in line.violations.values()):
        return [
            f"The baseline misses {misses(line.violations)}: what keeps every limit is an answer, "
            "however slow."
        ]
    score = merged_score(seen, BASELINE)
    if score is None or score.surely_feasible or not score.feasible:
        return []
    missed = {slo: beyond for slo, beyond in score.bound_violations.items() if math.isfinite(beyond)}
    if all(beyond <= 0 for beyond in missed.values()):
        return []  # too few requests so far: the plan says how many it takes
    return [
        "The baseline keeps every limit by what was measured, but its 95 % upper bound misses "
        f"{misses(missed)}."
    ]


def kept_told(seen: Overview, trial: int, name: str) -> list[str]:
    """Each limit on a percentile beside what was measured and its bound: one sentence, or none."""
    score = merged_score(seen, trial)
    if score is None:
        return []
    told = []
    for slo, beyond in score.bound_violations.items():
        limit, value = seen.state.slos[slo], score.metrics.get(slo, math.nan)
        bound = f"95 % upper bound {figure(limit * (1 + beyond))}"
        if math.isinf(beyond):
            bound = "too few requests for an upper bound"
        told.append(f"{slo} {figure(value)}, {bound}, {limit_text(slo, limit)}")
    others = [s for s in seen.state.slos if METRICS[s.rpartition(".")[2]].quantile is None]
    if others and told:
        told.append(f"{' and '.join(others)} by what was measured")
    return [f"Limits of {name}: {'; '.join(told)}."] if told else []
