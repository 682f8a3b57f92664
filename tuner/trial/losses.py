"""Limits on what answers lost, folded into a score: no window tells a loss, the deployment's answers do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tuner.spec.accuracy import ACCURACY_LOSS, SCORE_LOSS
from tuner.trial.ports import Score
from tuner.trial.rounds import RoundResult

LOSSES = (ACCURACY_LOSS, SCORE_LOSS)
Violation = Callable[[str, float, float], float]  # metric, value, limit -> share beyond it, NaN's included
_WITHIN = -1.0


def with_losses(
    score: Score, rounds: Sequence[RoundResult], limits: Mapping[str, float], violation: Violation
) -> Score:
    """`score` with these limits among its own. Of several deployments the largest loss stands.

    A loss is as certain as it will ever be: no further round changes it. One that is not known violates its
    limit, and is not certain.
    """
    lost = {m: max((r.losses[m] for r in rounds if m in r.losses), default=math.nan) for m in limits}
    beyond = {m: violation(m, lost[m], limit) for m, limit in limits.items()}
    certain = {m: _WITHIN if math.isnan(lost[m]) else beyond[m] for m in limits}
    return replace(
        score,
        violations={**score.violations, **beyond},
        certain_violations={**score.certain_violations, **certain},
        metrics={**score.metrics, **{m: v for m, v in lost.items() if not math.isnan(v)}},
    )
