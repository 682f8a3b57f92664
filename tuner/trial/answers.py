"""What a deployment answered to fixed prompts, and by how much two deployments' answers differ.

A prompt is answered greedily, and each of the first tokens comes with the log-probabilities of the likeliest.
Two answers are compared token by token up to the first that differs, that one included: until then both
engines stood before the same text. At one token the difference is the mean of |log p - log q| over the
tokens that the reference names, each weighted by the reference's p: by how much a token's log-probability
changed, in nats, where it matters. 0.02 is 2 % of a probability. A token that the other one does not name
lies below all that it names, and counts from there: such a difference is a lower bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

_LEAST_COMPARED = 0.9  # of the prompts must have an answer in both
_DIGITS = 5


@dataclass(frozen=True, slots=True)
class Place:
    """One token of an answer.

    Attributes:
        said: the token.
        logprobs: of the likeliest tokens there, nats; `said` is among them.
    """

    said: str
    logprobs: Mapping[str, float]


Answer = tuple[Place, ...]  # of one prompt; empty where there was none


@dataclass(frozen=True, slots=True)
class Answers:
    """What one deployment answered.

    Attributes:
        prompts: an answer for each prompt, always in the same order.
        again: what further passes over the same prompts, in batches made up otherwise, differ by from the
            first one, nats.
        score: what the experiment's own command said; None without one.
    """

    prompts: tuple[Answer, ...]
    again: tuple[float, ...] = ()
    score: float | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back, log-probabilities to five digits."""
        return {
            "prompts": [
                [[p.said, {t: round(v, _DIGITS) for t, v in p.logprobs.items()}] for p in answer]
                for answer in self.prompts
            ],
            "again": list(self.again),
            "score": self.score,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Answers:
        """What `to_json` wrote."""
        return cls(
            prompts=tuple(
                tuple(Place(said, probs) for said, probs in answer) for answer in stored["prompts"]
            ),
            again=tuple(stored.get("again", ())),
            score=stored.get("score"),
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """By how much answers differ from a reference.

    Attributes:
        nats: mean over the prompts; NaN where too few could be compared.
        first_changed: share of the prompts whose first token is another one.
        changed: share of the prompts whose answer is another one anywhere.
        prompts: how many were compared.
    """

    nats: float
    first_changed: float
    changed: float
    prompts: int


def difference(reference: Sequence[Answer], other: Sequence[Answer]) -> Difference:
    """See the module; answers of the same prompts in the same order."""
    pairs = [(a, b) for a, b in zip(reference, other, strict=True) if a and b]
    if len(pairs) < _LEAST_COMPARED * len(reference) or not pairs:
        return Difference(math.nan, math.nan, math.nan, len(pairs))
    return Difference(
        nats=fmean(_apart(a, b) for a, b in pairs),
        first_changed=fmean(a[0].said != b[0].said for a, b in pairs),
        changed=fmean(any(one.said != two.said for one, two in zip(a, b, strict=False)) for a, b in pairs),
        prompts=len(pairs),
    )


def _apart(reference: Answer, other: Answer) -> float:
    found = []
    for one, two in zip(reference, other, strict=False):
        found.append(_place_apart(one.logprobs, two.logprobs))
        if one.said != two.said:
            break
    return fmean(found)


def _place_apart(reference: Mapping[str, float], other: Mapping[str, float]) -> float:
    floor = min(other.values())
    weights = {token: math.exp(value) for token, value in reference.items()}
    changed = sum(
        weights[token] * abs(value - other.get(token, min(floor, value)))
        for token, value in reference.items()
    )
    return changed / sum(weights.values())
