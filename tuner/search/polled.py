"""Asks something again and again in a thread of its own, so that a slow answer holds nothing up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
_EVERY_SECONDS = 2.0


class Polled(Generic[T]):
    """Use as a context manager.

    Args:
        ask: gives the answer; whatever it raises counts as `otherwise`, because nothing depends on one
            answer and the deployments themselves tell what is wrong.

    Attributes:
        answer: the last one.
    """

    def __init__(self, ask: Callable[[], T], *, otherwise: T, every_seconds: float = _EVERY_SECONDS) -> None:
        self.answer = otherwise
        self._ask = ask
        self._otherwise = otherwise
        self._every_seconds = every_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_asking, name="polled", daemon=True)

    def __enter__(self) -> Polled[T]:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _keep_asking(self) -> None:
        while not self._over.wait(self._every_seconds):
            try:
                self.answer = self._ask()
            except Exception:
                self.answer = self._otherwise
