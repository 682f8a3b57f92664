"""Ctrl-C: once, nothing more is started and what runs is released; twice, everything ends at once."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import FrameType
from typing import Any

import psutil

from tuner.search.strategy import Strategy

EXIT_CODE = 130  # 128 + SIGINT, the shell's convention


class Interrupt:
    """Takes over SIGINT and SIGTERM while it is used as a context."""

    def __init__(self, strategy: Strategy) -> None:
        self.asked = False
        self._strategy = strategy
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            leave_at_once()
        self.asked = True
        self._strategy.stop("interrupted")


def leave_at_once(exit_code: int = EXIT_CODE) -> None:
    """End this process and all it started, now. An engine's supervisor ends with its life line."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()
    os._exit(exit_code)
