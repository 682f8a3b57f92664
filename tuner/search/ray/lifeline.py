"""What becomes of the others when a raylet dies: its workers end with it, and the driver says so.

By itself Ray lets both go on for ten seconds or more: actors call each other directly, so that a run measures
on, and then the driver's process is aborted from within, with a page of state on the screen.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

RAYLET_DIED = (
    "Ray's raylet on this machine died, and its trials with it; give the same command again: the run goes on"
)
_LOOK_SECONDS = 0.5
_UNNOTICED_SECONDS = 1.5  # within which Tune's loop would have
_no_surprise = threading.Event()  # the raylet's end: somebody says it, or Ray is being stopped


def end_with_parent(*, parent: Callable[[], int] = os.getppid) -> None:
    """Have this worker killed as soon as the raylet that started it is gone; engines go with their owner."""
    born_of = parent()

    def watch() -> None:
        while parent() == born_of:
            time.sleep(_LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="end with the raylet", daemon=True).start()


class Raylet:
    """The raylet of one Ray node on this machine."""

    def __init__(self, node_id: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._process = _of_node(node_id)
        self._clock = clock
        self._looked = clock()
        self._dead = False

    @property
    def dead(self) -> bool:
        """Whether it has ended; False where it was never found. Looks twice a second at most."""
        if self._process is not None and not self._dead and self._clock() - self._looked > _LOOK_SECONDS:
            self._looked = self._clock()
            try:
                gone = self._process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
                self._dead = gone or not self._process.is_running()
            except psutil.NoSuchProcess:
                self._dead = True
        return self._dead


def expect_its_end() -> None:
    """From now on nobody needs to be told that the raylet is gone."""
    _no_surprise.set()


def end_without(raylet: Raylet, *, leave: Callable[[], None]) -> None:
    """Call `leave`, from a thread, where the raylet dies while nobody looks, as while workers are starting.

    Ray would end this process a little later, without a word.
    """
    _no_surprise.clear()

    def watch() -> None:
        while not _no_surprise.wait(_LOOK_SECONDS):
            if raylet.dead and not _no_surprise.wait(_UNNOTICED_SECONDS):
                leave()
                return

    threading.Thread(target=watch, name="watch the raylet", daemon=True).start()


def _of_node(node_id: str) -> psutil.Process | None:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.name() == "raylet" and any(node_id in part for part in process.cmdline()):
                return process
    return None
