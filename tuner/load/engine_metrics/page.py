"""Reads the wanted families out of a Prometheus page, and nothing else of it.

A page of vLLM is some 100 kB of histograms, and the load's event loop reads it between tokens. So lines
are found by their names with `bytes.find` (well under a millisecond a page) instead of parsing them all.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from tuner.load.engine_metrics.names import ENGINES, Engine, Quantity, Source


def engine_of(page: bytes) -> Engine | None:
    """The engine that wrote the page; None where it is none of those known."""
    text = b"\n" + page
    return next((e for e in ENGINES if b"\n" + e.prefix.encode() in text), None)


def quantities(page: bytes, engine: Engine, *, only: Collection[str] = ()) -> Mapping[str, float]:
    """Quantity -> its figure now; what the page does not have is not there.

    Args:
        only: names of those to look for; () for all.
    """
    text = b"\n" + page
    found: dict[str, float] = {}
    for quantity in engine.quantities:
        if only and quantity.name not in only:
            continue
        value = _figure(text, quantity)
        if value is not None:
            found[quantity.name] = value
    return found


def _figure(text: bytes, quantity: Quantity) -> float | None:
    for source in quantity.sources:
        values = series(text, source)
        if values:
            return math.fsum(values) if quantity.series == "sum" else max(values)
    return None


def series(text: bytes, source: Source) -> list[float]:
    """The values of a family's series; numbers that are not finite are left out.

    Args:
        text: the page, with a line break before its first line.
    """
    start, label = b"\n" + source.name.encode(), source.label.encode()
    values: list[float] = []
    at = text.find(start)
    while at >= 0:
        end = text.find(b"\n", at + 1)
        line = text[at + len(start) : end if end >= 0 else len(text)]
        if line[:1] in (b"{", b" ", b"\t"):  # else a longer name
            labels, _, rest = line.rpartition(b"}") if line[:1] == b"{" else (b"", b"", line)
            if label in labels and (value := _number(rest)) is not None:
                values.append(value)
        at = text.find(start, at + 1)
    return values


def _number(rest: bytes) -> float | None:
    """The first word: a time stamp may follow."""
    words = rest.split(None, 1)
    try:
        value = float(words[0]) if words else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
