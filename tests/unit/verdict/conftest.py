"""Validation measurements written as a table: a row a trial, a column a block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from tuner.verdict.measured import Validated

Table = Mapping[int, Sequence[float | str | None]]


@pytest.fixture
def measure() -> Callable[..., list[Validated]]:
    """Numbers are values, a string is a failure, None is no measurement; `missed` gives violations."""

    def made(table: Table, missed: Mapping[int, float] | None = None) -> list[Validated]:
        found = []
        for trial, row in table.items():
            violation = {"ttft_p95_ms": (missed or {}).get(trial, -0.2)}
            for block, cell in enumerate(row):
                if isinstance(cell, str):
                    found.append(Validated(trial, block, None, failure=cell))
                else:
                    found.append(Validated(trial, block, cell, violation))
        return found

    return made
