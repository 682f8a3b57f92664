"""Scenario grammar (genai-bench's): D(in,out), N(mean,sd)/(mean,sd), U(min,max)/(min,max), U(max,max)."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

_NUMBER = r"\s*(\d+(?:\.\d+)?)\s*"
_PAIR = rf"\({_NUMBER},{_NUMBER}\)"
_FIXED = re.compile(rf"D{_PAIR}")
_NORMAL = re.compile(rf"N{_PAIR}/{_PAIR}")
_UNIFORM = re.compile(rf"U{_PAIR}/{_PAIR}")
_UNIFORM_FROM_ONE = re.compile(rf"U{_PAIR}")
GRAMMAR = (
    "D(in,out), N(mean_in,sd_in)/(mean_out,sd_out), U(min_in,max_in)/(min_out,max_out) or U(max_in,max_out)"
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Lengths of requests, in tokens.

    Attributes:
        kind: "D" fixed, "N" normal, "U" uniform (upper bound excluded).
        input: (value, 0), (mean, sd) or (min, max).
        output: the same.
    """

    kind: str
    input: tuple[float, float]
    output: tuple[float, float]
    text: str

    def sample(self, rng: random.Random) -> tuple[int, int]:
        """(input tokens >= 1, output tokens >= 2 unless fixed at 1) of one request."""
        floor = 1 if self.kind == "D" else 2
        return self._one(rng, self.input, 1), self._one(rng, self.output, floor)

    def mean_tokens(self) -> tuple[float, float]:
        """The expected (input, output) tokens, rounding and floors aside."""
        if self.kind == "U":
            return (sum(self.input) - 1) / 2, (sum(self.output) - 1) / 2
        return self.input[0], self.output[0]

    def _one(self, rng: random.Random, pair: tuple[float, float], floor: int) -> int:
        if self.kind == "D":
            return int(pair[0])
        if self.kind == "N":
            return max(floor, round(rng.gauss(*pair)))
        return max(floor, rng.randrange(int(pair[0]), int(pair[1])))


def parse_scenario(text: str) -> Scenario:
    """Read one scenario.

    Raises:
        ValueError: it does not parse, or asks for lengths that cannot be; says what would be right.
    """
    compact = text.strip()
    if match := _FIXED.fullmatch(compact):
        tokens_in, tokens_out = (float(g) for g in match.groups())
        found = Scenario("D", (tokens_in, 0.0), (tokens_out, 0.0), compact)
    elif match := _NORMAL.fullmatch(compact):
        a, b, c, d = (float(g) for g in match.groups())
        found = Scenario("N", (a, b), (c, d), compact)
    elif match := _UNIFORM.fullmatch(compact):
        a, b, c, d = (float(g) for g in match.groups())
        found = Scenario("U", (a, b), (c, d), compact)
    elif match := _UNIFORM_FROM_ONE.fullmatch(compact):
        b, d = (float(g) for g in match.groups())
        found = Scenario("U", (1.0, b), (1.0, d), compact)
    else:
        raise ValueError(f"scenario {text!r} does not parse; one of {GRAMMAR}")
    if found.kind in "DN" and (found.input[0] < 1 or found.output[0] < 1):
        raise ValueError(f"scenario {text!r}: lengths are at least 1 token")
    if found.kind == "U" and not all(int(low) < int(high) for low, high in (found.input, found.output)):
        raise ValueError(f"scenario {text!r}: each maximum must be above its minimum")
    return found
