"""What a combination of values lost against the baseline: beyond what the baseline differs by from itself.

The baseline's own differences (its prompts asked again in other batches, deployments that should answer
alike) say what one more of them stays below, 95 %: their logarithms are taken as normal, the variance with
a scaled inverse chi-square prior worth PRIOR_WORTH differences of PRIOR_DEVIATION (Gelman et al., "Bayesian
Data Analysis", sections 2.6 and 3.3), so that a single one tells something already. Those that are exactly
0 do not count: the same sums in the same order say nothing of others. What lies within the bound is no
loss; what lies beyond is one, whole. So an innocent change that differs as the baseline does from itself
shows any loss at all in at most 5 % of cases; from an alarm at one that differs otherwise, such as another
kernel before any was asked, the tolerance keeps it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from statistics import fmean
from typing import Any

from tuner.spec.accuracy import ACCURACY_LOSS, SCORE_LOSS
from tuner.spec.section import ParamValue
from tuner.trial.answers import Answers, difference

PRIOR_DEVIATION = 0.3  # of the logarithm; between llama.cpp's attention kernels it is half of that
PRIOR_WORTH = 4
# The 95 % quantile of Student's t for PRIOR_WORTH, PRIOR_WORTH + 1, ... degrees of freedom.
_T_950 = (2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812, 1.796, 1.782, 1.771)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One comparison with the baseline.

    Attributes:
        trial: whose deployment was asked.
        prompts: how many were compared.
        difference: mean change of a log-probability, nats.
        own: the baseline's bound: what it differs by from itself, nats.
        accuracy_loss: `difference` where it lies beyond `own`, else 0.
        first_changed, changed: share of the prompts with another first token, another answer.
        values: of the parameters that can change answers.
        unexpected: they are the baseline's, so that the answers should be too.
        score, score_loss: what the command said, and the share of the baseline's that was lost (below 0 it is
            more); None without a command.
    """

    trial: int
    prompts: int
    difference: float
    own: float
    accuracy_loss: float
    first_changed: float
    changed: float
    values: dict[str, ParamValue] = field(default_factory=dict)
    unexpected: bool = False
    score: float | None = None
    score_loss: float | None = None

    @property
    def losses(self) -> dict[str, float]:
        """Metric -> loss, from 0 on."""
        found = {ACCURACY_LOSS: self.accuracy_loss}
        return found if self.score_loss is None else {**found, SCORE_LOSS: max(0.0, self.score_loss)}

    def beyond(self, limits: Mapping[str, float]) -> bool:
        """Whether one of them is more than is allowed."""
        return any(lost > limits[metric] for metric, lost in self.losses.items())

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Judgement:
        """What `to_json` wrote; what a later version added is left out."""
        known = {f.name for f in fields(cls)}
        return cls(**{key: value for key, value in stored.items() if key in known})


def prediction_bound(own: Sequence[float]) -> float:
    """What one more of the baseline's own differences stays below, 95 %; see the module. 0 without any."""
    logs = [math.log(nats) for nats in own if nats > 0]
    if not logs:
        return 0.0
    middle, count = fmean(logs), len(logs)
    squares = PRIOR_WORTH * PRIOR_DEVIATION**2 + sum((x - middle) ** 2 for x in logs)
    deviation = math.sqrt(squares / (PRIOR_WORTH + count - 1))
    t = _T_950[min(count, len(_T_950)) - 1]
    return max(*own, math.exp(middle + t * deviation * math.sqrt(1 + 1 / count)))


def judged(
    reference: Answers,
    answers: Answers,
    *,
    own: Sequence[float],
    trial: int,
    values: Mapping[str, ParamValue],
) -> Judgement:
    """What `answers` lost against the baseline's.

    Args:
        own: the baseline's own differences so far, nats.
        trial: whose answers they are.
        values: see Judgement.

    Raises:
        ValueError: too few prompts were answered in both.
    """
    found = difference(reference.prompts, answers.prompts)
    if math.isnan(found.nats):
        raise ValueError(f"only {found.prompts} of {len(reference.prompts)} prompts were answered")
    bound = prediction_bound(own)
    return Judgement(
        trial=trial,
        prompts=found.prompts,
        difference=found.nats,
        own=bound,
        accuracy_loss=found.nats if found.nats > bound else 0.0,
        first_changed=found.first_changed,
        changed=found.changed,
        values=dict(values),
        score=answers.score,
        score_loss=_lost(reference.score, answers.score),
    )


def _lost(before: float | None, after: float | None) -> float | None:
    """As a share of the baseline's score; of a score of 0 the difference itself."""
    if before is None or after is None:
        return None
    return (before - after) / (abs(before) or 1.0)
