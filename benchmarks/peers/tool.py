"""What is known of a tool that is run beside the load generator: how to call it, where its figures are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PROMPT_TOKENS = 48


@dataclass(frozen=True)
class Job:
    """One run: a closed loop of so many streams, for about so long.

    Attributes:
        tokenizer: a folder that `AutoTokenizer.from_pretrained` reads.
        folder: for whatever the tool writes; empty before.
        requests: what fits into `seconds` at the ideal rate, for tools that count instead of timing.
    """

    url: str
    tokenizer: Path
    folder: Path
    streams: int
    seconds: int
    tokens: int
    requests: int


@dataclass(frozen=True)
class Reported:
    """What the tool says of itself."""

    requests_per_second: float
    ttft_mean_ms: float
    ttft_p99_ms: float


@dataclass(frozen=True)
class Tool:
    """A tool from PyPI.

    Attributes:
        version: pinned, so that the table can be made again.
        python: the oldest that it installs on.
        command: argv after the venv's bin/, for a job; may write files into its folder first.
        reported: reads what it wrote; raises KeyError, IndexError, OSError, ValueError where that is missing.
    """

    name: str
    version: str
    python: tuple[int, int]
    command: Callable[[Job], list[str]]
    reported: Callable[[Job], Reported]
    environment: dict[str, str] = field(default_factory=dict)


def only(folder: Path, pattern: str) -> Path:
    """The one file under `folder` that fits; IndexError where there is none."""
    return sorted(folder.rglob(pattern))[0]
