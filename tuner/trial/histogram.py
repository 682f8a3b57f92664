"""A mergeable histogram of positive numbers with a bounded relative error.

Buckets are logarithmic (DDSketch; Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile
sketch with relative-error guarantees", VLDB 2019): value x > 0 falls into bucket ceil(log_g(x)) with
g = (1 + a) / (1 - a), and a bucket answers with 2 g^i / (g + 1), at most a share `a` away from x.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

RELATIVE_ERROR = 0.005
_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA = math.log(_GAMMA)
_SMALLEST = 1e-6  # at or below: the bucket of zeros


class Histogram:
    """Counts per bucket, with exact count, sum, minimum and maximum. Adding is O(1)."""

    __slots__ = ("_buckets", "count", "maximum", "minimum", "total")

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.total = 0.0
        self.minimum = math.inf
        self.maximum = -math.inf
        for value in values:
            self.add(value)

    def add(self, value: float, times: int = 1) -> None:
        """Count `value` (>= 0, finite) `times` times.

        Raises:
            ValueError: the value is negative or not finite.
        """
        if not 0 <= value < math.inf:
            raise ValueError(f"a histogram takes finite numbers from 0 on, got {value!r}")
        key = _ZERO if value <= _SMALLEST else math.ceil(math.log(value) / _LOG_GAMMA)
        self._buckets[key] = self._buckets.get(key, 0) + times
        self.count += times
        self.total += value * times
        self.minimum = min(self.minimum, value)
        self.maximum = max(self.maximum, value)

    def merge(self, other: Histogram) -> None:
        """Add all that `other` counted."""
        for key, times in other._buckets.items():
            self._buckets[key] = self._buckets.get(key, 0) + times
        self.count += other.count
        self.total += other.total
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)

    def mean(self) -> float:
        """The exact mean; NaN when empty."""
        return self.total / self.count if self.count else math.nan

    def quantile(self, q: float) -> float:
        """The value of rank ceil(q * count) (nearest rank), within RELATIVE_ERROR; NaN when empty."""
        return self.at_rank(max(1, math.ceil(q * self.count)))

    def at_rank(self, rank: int) -> float:
        """The value of that rank, 1 the smallest, within RELATIVE_ERROR; NaN when empty."""
        if not self.count:
            return math.nan
        seen = 0
        for key in sorted(self._buckets):
            seen += self._buckets[key]
            if seen >= rank:
                value = 0.0 if key == _ZERO else 2 * _GAMMA**key / (_GAMMA + 1)
                return min(max(value, self.minimum), self.maximum)
        return self.maximum

    def count_above(self, value: float) -> int:
        """How many lie above `value` (>= 0), those in its own bucket not among them."""
        key = _ZERO if value <= _SMALLEST else math.ceil(math.log(value) / _LOG_GAMMA)
        return sum(times for own, times in self._buckets.items() if own > key)

    def to_json(self) -> dict[str, object]:
        """A JSON object that `from_json` reads back without loss."""
        return {
            "buckets": {str(k): v for k, v in sorted(self._buckets.items())},
            "sum": self.total,
            "min": self.minimum if self.count else None,
            "max": self.maximum if self.count else None,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, object]) -> Histogram:
        """What `to_json` wrote."""
        made = cls()
        buckets = stored["buckets"]
        assert isinstance(buckets, Mapping)
        made._buckets = {int(k): int(v) for k, v in buckets.items()}
        made.count = sum(made._buckets.values())
        made.total = float(stored["sum"])  # type: ignore[arg-type]
        if made.count:
            made.minimum = float(stored["min"])  # type: ignore[arg-type]
            made.maximum = float(stored["max"])  # type: ignore[arg-type]
        return made


_ZERO = -(10**6)
