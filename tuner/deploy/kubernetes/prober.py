"""Sends requests to a Ready pod in a thread of its own until one is served: a request may hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tuner.deploy.kubernetes.endpoint import no_way_to
from tuner.trial.ports import Endpoint, LoadError

_RETRY_SECONDS = 0.1
_PATIENCE_SECONDS = 10.0  # a Service leads to a pod within a second or two of its being Ready


class Prober:
    """One endpoint's prober.

    Attributes:
        answer: of the last request that was not served.
        no_way: why the address cannot be reached from here at all; "" for as far as is known.
        error: what a request raised beside `LoadError`.
    """

    def __init__(self, endpoint: Endpoint, probe: Callable[[Endpoint], None]) -> None:
        self.endpoint = endpoint
        self.answer = ""
        self.no_way = ""
        self.error: BaseException | None = None
        self._probe = probe
        self._over = threading.Event()
        self._served = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="probe", daemon=True)
        self._thread.start()

    def served(self, *, seconds: float) -> bool:
        """Whether a request was; waits for it so long."""
        return self._served.wait(seconds)

    def stop(self, *, seconds: float = 0.0) -> None:
        """Send no more; waits so long for one that is on its way."""
        self._over.set()
        if seconds:
            self._thread.join(seconds)

    def _ask(self) -> None:
        look_at = time.monotonic() + _PATIENCE_SECONDS
        while not self._over.is_set():
            try:
                self._probe(self.endpoint)
                self._served.set()
                return
            except LoadError as error:
                self.answer = str(error)
            except BaseException as error:  # raised again by the thread that waits
                self.error = error
                return
            if time.monotonic() > look_at:
                self.no_way = no_way_to(self.endpoint)
                look_at = time.monotonic() + _PATIENCE_SECONDS
            self._over.wait(_RETRY_SECONDS)
