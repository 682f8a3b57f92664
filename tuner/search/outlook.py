"""What is expected of a configuration when it is proposed, and what the budget concludes from that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FEWEST_TRIALS = 12  # before which the search never ends for want of gain
IN_A_ROW = 6  # suggestions, each with more known than the one before; of 4 some were the noise's
_LIKELY = 0.5  # P(deploys) below which a failure was to be expected
_EXPECTED_COUNTS = 0.5  # of a failure in a row


@dataclass(frozen=True, slots=True)
class Outlook:
    """Of one proposal.

    Attributes:
        known: trials that had ended.
        deploys: the probability that it deploys.
        gain_left: the largest gain that one more trial is expected to bring, as a share of the best so far;
            None while nothing is feasible.
    """

    known: int
    deploys: float
    gain_left: float | None


def weight_of_failure(outlook: Outlook | None) -> float:
    """How much a failure counts among those in a row: one that was to be expected says less of the cluster.

    It says something: a model that saw nothing but failures expects them everywhere.
    """
    return _EXPECTED_COUNTS if outlook is not None and outlook.deploys < _LIKELY else 1.0


def little_to_gain(outlooks: Sequence[Outlook | None], *, minimum: float) -> bool:
    """Whether the newest proposals, one after another, all expected less than `minimum`.

    Proposals made side by side know the same and count as one: the most hopeful of them.

    Args:
        outlooks: of all proposals, the oldest first; None where nothing was expected.
        minimum: a share of the best.
    """
    known: set[int] = set()
    for outlook in reversed(outlooks):
        if outlook is None:
            continue  # it was no suggestion of the model: the best of an earlier run, or drawn
        if outlook.gain_left is None or outlook.gain_left >= minimum:
            return False
        known.add(outlook.known)
        if len(known) >= IN_A_ROW:
            return True
    return False
