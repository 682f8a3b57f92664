"""Asks in a thread of its own whether a deployment waits for room, so that a slow answer holds nothing up."""

from __future__ import annotations

import threading
from collections.abc import Callable

_ASK_SECONDS = 2.0


class RoomWatch:
    """Use as a context manager.

    Args:
        ask: one line about what waits for room, "" for nothing; whatever it raises counts as nothing,
            because the deployments themselves tell what is wrong.

    Attributes:
        line: the last answer.
    """

    def __init__(self, ask: Callable[[], str], *, every_seconds: float = _ASK_SECONDS) -> None:
        self.line = ""
        self._ask = ask
        self._every_seconds = every_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_asking, name="room", daemon=True)

    def __enter__(self) -> RoomWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _keep_asking(self) -> None:
        while not self._over.wait(self._every_seconds):
            try:
                self.line = self._ask()
            except Exception:
                self.line = ""
