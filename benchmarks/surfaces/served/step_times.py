"""How long one forward pass takes: tables of measured operators, read between their points in logarithms."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any


class Curve:
    """A table over one axis."""

    def __init__(self, at: Sequence[float], values: Sequence[float]) -> None:
        self._at = [math.log2(a) for a in at]
        self._log = [math.log2(max(v, 1e-6)) for v in values]

    def __call__(self, x: float) -> float:
        """Between points by the logarithms of both; beyond the ends by the last two points."""
        i, share = _place(self._at, math.log2(x))
        return 2.0 ** (self._log[i] + share * (self._log[i + 1] - self._log[i]))


class Sheet:
    """A table over two axes, one curve for every point of the first."""

    def __init__(
        self, rows: Sequence[float], columns: Sequence[float], values: Sequence[Sequence[float]]
    ) -> None:
        self._rows = [math.log2(r) for r in rows]
        self._columns = [math.log2(c) for c in columns]
        self._log = [[math.log2(max(v, 1e-6)) for v in line] for line in values]

    def __call__(self, row: float, column: float) -> float:
        """As Curve, in both directions."""
        i, down = _place(self._rows, math.log2(row))
        j, right = _place(self._columns, math.log2(column))
        upper, lower = self._log[i], self._log[i + 1]
        first = upper[j] + right * (upper[j + 1] - upper[j])
        second = lower[j] + right * (lower[j + 1] - lower[j])
        return 2.0 ** (first + down * (second - first))


def _place(at: list[float], x: float) -> tuple[int, float]:
    i = min(max(bisect_right(at, x) - 1, 0), len(at) - 2)
    return i, (x - at[i]) / (at[i + 1] - at[i])


class StepTimes:
    """Milliseconds of one forward pass of one replica on the accelerator, the host's share left out.

    A pass over prompts alone, decodes alone, or both: what all tokens share (projections, experts,
    communication) by their number; attention of prompts by tokens and length; attention of decodes by their
    number and context. A chunk of n tokens behind p others attends as far as the mean token of a prompt of
    n + 2p tokens, and is priced as a part of such a one. Attention lasts `attention_scale` times as long as
    the tables say.
    """

    def __init__(self, tables: dict[str, Any], *, attention_scale: float = 1.0) -> None:
        self._scale = attention_scale
        self._shared = Curve(tables["tokens"], tables["shared_ms"])
        self._prefill = Sheet(tables["tokens"], tables["prompts"], tables["prefill_attention_ms"])
        self._decode = Sheet(tables["batches"], tables["contexts"], tables["decode_ms"])
        self._attending = Sheet(tables["batches"], tables["contexts"], tables["decode_attention_ms"])

    def decode_ms(self, batch: int, context: float) -> float:
        """Of `batch` sequences, one step each."""
        taken = self._decode(batch, max(context, 1.0))
        if self._scale != 1.0:
            taken += (self._scale - 1.0) * self._attending(batch, max(context, 1.0))
        return taken

    def prefill_ms(
        self, tokens: int, equivalent_prompt: float, *, batch: int = 0, context: float = 1.0, query: int = 1
    ) -> float:
        """Of `tokens` of prompts, beside `batch` decodes of `query` tokens each."""
        attending = self._prefill(tokens, max(equivalent_prompt, 1.0))
        if batch:
            attending += self._attending(batch, max(context, 1.0))
        return self._shared(tokens + batch * query) + self._scale * attending
