"""What a peer's program is told and answers: a line of JSON each, on standard input and output.

    told     {"begin": {"values": [8, 2, ...], "ordered": [true, ...], "rows": [[0, 1, null], ...],
                        "limits": 3, "maximize": true, "seed": 7}}
    told     {"row": 12, "failed": false, "value": 812.4, "violations": [-0.2, 0.1, -1.0]}
    told     {"ask": true}
    answers  {"row": 40, "seconds": 0.21}      a row that was not told yet, and the CPU seconds of choosing it

A row is a configuration: the place of each parameter's value among its values, null where the parameter is
not active. Nothing but these rows can be measured. A violation above 0 is an SLO that is missed, as a share
of its limit.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Task:
    """The search that begins; see the module."""

    values: list[int]
    ordered: list[bool]
    rows: list[list[int | None]]
    limits: int
    maximize: bool
    seed: int


@dataclass(frozen=True)
class Told:
    """What a row measured; `value` and `violations` are empty where it failed."""

    row: int
    failed: bool
    value: float | None
    violations: list[float]


@dataclass
class Untried:
    """The rows that were not measured yet."""

    task: Task
    told: dict[int, Told] = field(default_factory=dict)

    def any(self, rng: random.Random) -> int:
        """One of them, each as likely as any other."""
        return rng.choice([i for i in range(len(self.task.rows)) if i not in self.told])

    def find(self, places: list[int]) -> int | None:
        """The row that a full set of places stands for; None where nothing was recorded for it."""
        for index, row in enumerate(self.task.rows):
            if all(r is None or r == p for r, p in zip(row, places, strict=True)):
                return index
        return None


class Searcher(Protocol):
    """One search."""

    def tell(self, told: Told) -> None:
        """A row was measured."""

    def ask(self) -> int:
        """A row that was not."""


def serve(begin: Callable[[Task], Searcher]) -> None:
    """Answer until the input ends."""
    searcher: Searcher | None = None
    for line in sys.stdin:
        said: dict[str, Any] = json.loads(line)
        if "begin" in said:
            searcher = begin(Task(**said["begin"]))
        elif "row" in said:
            assert searcher is not None
            searcher.tell(Told(**said))
        else:
            assert searcher is not None
            began = time.process_time()
            row = searcher.ask()
            print(json.dumps({"row": row, "seconds": time.process_time() - began}), flush=True)
