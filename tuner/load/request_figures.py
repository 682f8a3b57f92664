"""What one request gave: tokens by chunk, TPOT, and when it would have ended. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuner.load.exchange import OK, Exchange

FEWEST_GAPS = 8  # of a request that is not whole, for its TPOT to be more than noise


def tokens_by_chunk(exchanges: Sequence[Exchange]) -> tuple[str, float]:
    """(token source, tokens in a chunk after the first): by usage over all requests that have it."""
    tokens = chunks = known = 0
    for x in exchanges:
        if x.completion_tokens is not None and x.output_times:
            known += 1
            tokens += max(0, x.completion_tokens - x.first_chunk_tokens)
            chunks += len(x.output_times) - 1
    if not known:
        finished = any(x.outcome == OK for x in exchanges)
        return ("chunks" if finished else "usage"), 1.0
    return "usage", tokens / chunks if chunks else 1.0


def weights(exchange: Exchange, tokens_per_chunk: float) -> tuple[float, float]:
    """Tokens in the first chunk, and in each of the others."""
    chunks = len(exchange.output_times)
    if exchange.completion_tokens is None or not chunks:
        return float(exchange.first_chunk_tokens), tokens_per_chunk
    if chunks == 1:
        return float(exchange.completion_tokens), 0.0
    first = exchange.first_chunk_tokens
    return float(first), max(0, exchange.completion_tokens - first) / (chunks - 1)


def tpot_seconds(x: Exchange, tokens_per_chunk: float) -> float | None:
    """(last - first) / (output tokens - tokens in the first chunk), seconds; None where it has no meaning."""
    if len(x.output_times) < 2:
        return None
    others = (len(x.output_times) - 1) * weights(x, tokens_per_chunk)[1]
    return (x.output_times[-1] - x.output_times[0]) / others if others > 0 else None


def projected_end(x: Exchange, followed_until: float, tokens_per_chunk: float, usual_tpot: float) -> float:
    """When an unfinished request will have had all that the scenario asks for, at its own speed."""
    so_far = followed_until if x.ended is None else x.ended
    if not x.output_times:
        return so_far
    own = tpot_seconds(x, tokens_per_chunk) if len(x.output_times) > FEWEST_GAPS else None
    tpot = usual_tpot if own is None else own
    first, other = weights(x, tokens_per_chunk)
    missing = x.asked_tokens[1] - first - other * (len(x.output_times) - 1)
    if math.isnan(tpot) or missing <= 0:
        return so_far
    return max(so_far, x.output_times[-1] + missing * tpot)
