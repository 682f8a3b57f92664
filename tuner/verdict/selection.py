"""Which candidate is the winner, chosen on other blocks than its gain is reported from.

Whoever looks best of several on some blocks looks better there than it is (the winner's curse), so a gain
read off the blocks that made the choice is too large. Cross-fitting, leave one block out: for block b the
candidate is chosen by the *other* blocks, among those feasible there, and block b contributes that
candidate's log ratio. Where every block chooses the same candidate and it is told apart from each other
one, these contributions are the candidate's own log ratios and no correction is left to make. Where they
do not, the data cannot tell who is best: the one nearest the baseline is taken (the least to change), and
since distance decides, not the blocks, its own blocks give its gain. Where every block agrees on a leader,
a nearer one ties with it only within TIE_MARGIN: what is not told apart by three blocks can still be far
behind, and the least to change is not worth an eighth of the throughput.

`test_verdict_coverage.py` measures what this is worth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tuner.verdict.additive import Additive, Logs

TIE_MARGIN = math.log(1.03)  # what nearness may cost against a leader that all blocks agree on
Feasible = Callable[[int, Sequence[int]], bool]  # candidate, blocks -> within every SLO there


@dataclass(frozen=True, slots=True)
class Choice:
    """What the blocks say of the candidates.

    Attributes:
        winner: the only one, the one told apart from all, or the tied one nearest the baseline.
        leader: the one that leads, chosen by every fold; None where the folds disagree.
        tied: candidates not told apart, nearest the baseline first; empty when the winner is told apart.
    """

    winner: int
    leader: int | None
    tied: tuple[int, ...] = ()


def choose(
    logs: Logs,
    blocks: Sequence[int],
    *,
    nearest_first: Sequence[int],
    feasible: Feasible,
    fit: Additive | None = None,
) -> Choice:
    """Choose among candidates (at least one) that were all measured in all of `blocks`.

    Args:
        logs: of the candidates in play.
        blocks: the numbers of the blocks to use; with fewer than two, nothing is told apart.
        nearest_first: the candidates by their distance to the baseline.
        feasible: whether a candidate meets the limits in some blocks, merged.
        fit: by which two are told apart, of all arms; None for the candidates alone.
    """
    fit = fit or Additive(logs)
    candidates = [c for c in nearest_first if c in logs]
    if len(candidates) == 1:
        return Choice(candidates[0], candidates[0])
    if len(blocks) < 2:
        return Choice(candidates[0], None, tuple(candidates))
    chosen = {_best(logs, candidates, [o for o in blocks if o != b], feasible) for b in blocks}
    leader = _best(logs, candidates, blocks, feasible)
    agreed = leader if chosen == {leader} else None
    near = {
        c
        for c in candidates
        if c != leader
        and not _told_apart(fit, leader, c)
        and (agreed is None or _behind(logs, leader, c, blocks) <= TIE_MARGIN)
    }
    tied = chosen | near | {leader}
    if tied == {leader}:
        return Choice(leader, agreed)
    ordered = tuple(c for c in candidates if c in tied)
    return Choice(ordered[0], agreed, ordered)


def _best(logs: Logs, candidates: Sequence[int], blocks: Sequence[int], feasible: Feasible) -> int:
    """The best mean over `blocks` among those feasible there; among all of them where none is."""
    able = [c for c in candidates if feasible(c, blocks)] or candidates
    return max(able, key=lambda c: math.fsum(logs[c][b] for b in blocks))


def _behind(logs: Logs, leader: int, other: int, blocks: Sequence[int]) -> float:
    """By how much `other` is behind, as a log of the ratio, mean over the blocks."""
    return math.fsum(logs[leader][b] - logs[other][b] for b in blocks) / len(blocks)


def _told_apart(fit: Additive, one: int, other: int) -> bool:
    """Whether the 95 % interval of the difference excludes 0."""
    found = fit.difference(one, other)
    if found is None:
        return False
    low, high = found.interval()
    return low > 0 or high < 0
