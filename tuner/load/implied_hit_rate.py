"""The prefix-cache hit rate that a workload implies: what it itself lets a cache answer. Pure.

The rate is the share of prompt tokens that were sent, or answered, before in the same session (one
deployment's load, its preparation included), as the workload is built. What an ideal prefix cache would show,
so an upper bound of what an engine may: one above it has answered prompts from before the session.

Assumptions
- The cache is large enough for all of it, holds single tokens (engines hold blocks of 16 or so), and has what
  a request sent and was answered as soon as that request has ended.
- The engine's template and the first words of generated prompts, which some share by chance, are left out: a
  few tokens of a prompt. Compare with a tolerance.
- Shared prefix: sent before by the calibration. A prompt is at least one word longer than it.
- Dataset: of n rows whose texts make a tree of m characters in all, one pass lets the cache answer
  1 - m / all characters, whatever the order; a second pass all of it. `requests` says how often rows are
  drawn where one lead-in holds (a round; a session for `none`); without it once each. A lead-in for each
  request leaves nothing.
- Trace: the leading hash ids of a prompt that were sent before, in the rounds' windows; blocks of
  `block_tokens`, the last one the rest. Without hash ids nothing.
- Conversations: all that a turn carries, answers included, was sent or answered before. The first request of
  a stream, met on its way, falls into the ramp. Lengths are independent of the number of turns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, takewhile

from tuner.load.traces import TracePieces
from tuner.spec.content import Content, Conversations, Dataset, Trace
from tuner.spec.dataset_rows import CHARACTERS_PER_TOKEN, DatasetRow
from tuner.spec.workload import LoadPoint


def implied_prefix_hit_rate(
    point: LoadPoint, *, window_seconds: float, rounds: int = 1, requests: float | None = None
) -> float:
    """The share, 0 to 1, of `point`'s prompt tokens that its own requests let a prefix cache answer.

    Args:
        window_seconds, rounds: which pieces of a trace are replayed: the mean over these rounds.
        requests: of this point in one round, or in the session with a dataset whose lead_in is none; None
            where rows do not repeat, or that is not known; infinity for rows that are all known.
    """
    if point.trace is not None:
        return _trace(point.trace, point.request_rate, window_seconds, rounds)
    known = total = 0.0
    for weight, part in zip(point.weights, point.parts, strict=True):
        share = None if requests is None else requests * weight
        part_known, part_total = _of_one_talk(part, share)
        # a weight is that of a conversation: one request of the mix begins one
        known += weight * part_known
        total += weight * part_total
    return min(1.0, known / total) if total else 0.0


def _of_one_talk(part: Content, requests: float | None) -> tuple[float, float]:
    """(known before, all) tokens of the prompts of one request, or of one conversation."""
    if part.dataset is not None:
        return _dataset(part, part.dataset, requests)
    tokens_in, tokens_out = part.lengths.mean_tokens()
    prefix = float(part.shared_prefix)
    if part.conversations is None:
        return prefix, max(tokens_in, prefix + 1)
    first = max(tokens_in, prefix + 1)
    fewest, most = part.conversations.span or (1, 1)
    known = total = 0.0
    for turns in range(fewest, most + 1):
        carried = [0.0] + [first + (t - 1) * tokens_in + t * tokens_out for t in range(1, turns)]
        known += prefix + sum(carried)
        total += first + sum(carried) + (turns - 1) * tokens_in
    cases = most - fewest + 1
    return known / cases, total / cases


def _dataset(part: Content, dataset: Dataset, requests: float | None) -> tuple[float, float]:
    seen = _of_rows(dataset, part.conversations)
    known = 0.0
    if dataset.lead_in != "request":
        passes = max(1.0, (requests or 0.0) / len(dataset.rows))
        known = seen.opening * (1 - (1 - seen.shared) / passes)
    return known + seen.carried, seen.opening + seen.carried + seen.later


@dataclass(frozen=True, slots=True)
class _Rows:
    """Means over the rows, in tokens, and the share of their openings that another row begins with."""

    opening: float
    later: float  # what later turns ask
    carried: float
    shared: float


@lru_cache(maxsize=16)
def _of_rows(dataset: Dataset, conversations: Conversations | None) -> _Rows:
    rows = dataset.rows
    span = None if conversations is None else conversations.span
    later = carried = 0.0
    if conversations is not None:
        for row in rows:
            turns = min(len(row.turns), round(sum(span) / 2)) if span else len(row.turns)
            later += sum(_characters(t.asked) for t in row.turns[1:turns]) / CHARACTERS_PER_TOKEN
            carried += _carried(dataset, row, turns)
    texts = sorted(_text(row, row.alone if conversations is None else 0) for row in rows)
    characters = sum(map(len, texts))
    shared = sum(_common(a, b) for a, b in pairwise(texts))
    count = len(rows)
    opening = characters / CHARACTERS_PER_TOKEN / count
    return _Rows(opening, later / count, carried / count, shared / characters)


def _carried(dataset: Dataset, row: DatasetRow, turns: int) -> float:
    """Tokens that the prompts of a conversation of so many turns carry from earlier ones, all turns."""
    carried = so_far = 0.0
    for turn in row.turns[: turns - 1]:
        so_far += _characters(turn.asked) / CHARACTERS_PER_TOKEN + dataset.answer_tokens(turn)
        carried += so_far
    return carried


def _text(row: DatasetRow, turn: int) -> str:
    return "".join(f"{role}\n{text}\n" for role, text in row.messages(turn))


def _characters(messages: Iterable[tuple[str, str]]) -> int:
    return sum(len(text) for _, text in messages)


def _common(a: str, b: str) -> int:
    """Characters that both begin with."""
    low, high = 0, min(len(a), len(b))
    while low < high:  # bisection: a comparison of slices is much faster than one of characters
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[:middle] == b[:middle] else (low, middle - 1)
    return low


def _trace(trace: Trace, request_rate: float | None, window_seconds: float, rounds: int) -> float:
    pieces = TracePieces(trace, window_seconds=window_seconds, request_rate=request_rate)
    seen: set[tuple[int, int]] = set()
    known = total = 0
    for number in range(1, rounds + 1):
        before, window = pieces.window_numbers(number)
        for request in (*before, *window):
            row = pieces.row(request)
            blocks = [(pieces.lap(request), block) for block in row.hash_ids]
            hits = sum(1 for _ in takewhile(seen.__contains__, blocks))
            seen.update(blocks)
            if request >= window.start:
                known += min(hits * trace.block_tokens, row.input_tokens)
                total += row.input_tokens
    return known / total if total else 0.0
