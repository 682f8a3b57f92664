"""Rows of a trace of requests: Mooncake's JSONL or Azure's CSV. Pure.

Sources of the formats: FAST25-release/traces of the Mooncake paper (timestamp in milliseconds, input_length,
output_length, hash_ids: one for each block of 512 tokens, equal where the prompts up to its end are), and
Azure's AzurePublicDataset, LLM inference traces (TIMESTAMP, ContextTokens, GeneratedTokens).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tuner.spec.faults import Fault, show

_MOONCAKE = '{"timestamp": 0, "input_length": 512, "output_length": 64, "hash_ids": [0]}'
_AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One request of a trace.

    Attributes:
        seconds: after the trace's first request.
        hash_ids: of the prompt's blocks; empty where the trace has none.
    """

    seconds: float
    input_tokens: int
    output_tokens: int
    hash_ids: tuple[int, ...] = ()


def parse_trace(text: str, kind: str) -> tuple[TraceRow, ...]:
    """Read a trace; its rows in the order of their times, the first at 0 s.

    Requests without tokens, which real traces have, are taken as one token long.

    Args:
        kind: mooncake, azure, or auto: a file that starts with `{` is Mooncake's.

    Raises:
        Fault: a line cannot be read, or there are fewer than two; says which line and what would be right.
    """
    mooncake = kind == "mooncake" or (kind == "auto" and text.lstrip()[:1] in ("{", ""))
    rows = sorted(_mooncake(text) if mooncake else _azure(text), key=lambda row: row.seconds)
    if len(rows) < 2 or rows[-1].seconds <= rows[0].seconds:
        wanted = "requests at two times or more"
        raise Fault(got=f"a trace of {len(rows)} usable lines at one time", right=wanted, at=("path",))
    start = rows[0].seconds
    return tuple(replace(row, seconds=row.seconds - start) for row in rows)


def _mooncake(text: str) -> Iterator[TraceRow]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise _fault(number, f"no JSON ({line.strip()[:40]!r})", _MOONCAKE) from error
        if not isinstance(row, dict):
            raise _fault(number, show(row), _MOONCAKE)
        ids = row.get("hash_ids", [])
        if not isinstance(ids, list) or not all(isinstance(i, int) for i in ids):
            raise _fault(number, f"hash_ids {show(ids)}", "a list of whole numbers")
        yield TraceRow(
            seconds=_number(row, "timestamp", number, _MOONCAKE) / 1e3,
            input_tokens=max(1, int(_number(row, "input_length", number, _MOONCAKE))),
            output_tokens=max(1, int(_number(row, "output_length", number, _MOONCAKE))),
            hash_ids=tuple(ids),
        )


def _azure(text: str) -> Iterator[TraceRow]:
    lines = csv.DictReader(text.splitlines())
    missing = [name for name in _AZURE if name not in (lines.fieldnames or ())]
    if missing:
        got = f"a head without {', '.join(missing)}"
        raise _fault(1, got, ",".join(_AZURE))
    for row in lines:
        number, example = lines.line_num, f"{','.join(_AZURE)}"
        yield TraceRow(
            seconds=_unix_seconds(row["TIMESTAMP"], number),
            input_tokens=max(1, int(_number(row, "ContextTokens", number, example))),
            output_tokens=max(1, int(_number(row, "GeneratedTokens", number, example))),
        )


def _unix_seconds(text: str | None, line: int) -> float:
    try:
        moment = datetime.fromisoformat((text or "").strip())
    except ValueError as error:
        raise _fault(line, f"the time {show(text)}", "such as 2023-11-16 18:17:03.9799600") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _number(row: dict[str, Any], key: str, line: int, example: str) -> float:
    given = row.get(key)
    try:
        value = float(given) if not isinstance(given, bool) and given is not None else -1.0
    except (TypeError, ValueError):
        value = -1.0
    if not 0 <= value < 1e15:
        raise _fault(line, f"{key} {show(given)}", f"a number from 0 on, as in {example}")
    return value


def _fault(line: int, got: str, right: str) -> Fault:
    return Fault(got=f"in line {line} of the file {got}", right=right, at=("path",))
