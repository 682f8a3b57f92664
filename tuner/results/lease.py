"""One driver holds a run: a lock that the kernel takes back when the driver ends, however it ends."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from tuner.errors import LeaseHeld
from tuner.results.files import told

_TRIES = 5
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a run.

    Attributes:
        host: its machine's name.
        pid: its process.
        started: Unix time at which it took the lease.
    """

    host: str
    pid: int
    started: float

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.started).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        return f"process {self.pid} on {self.host} since {since}"


class Lease:
    """An flock on a file that also says who holds it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._descriptor is not None

    def acquire(self, *, now: float, sleep: Callable[[float], None] = time.sleep) -> None:
        """Take it.

        Raises:
            LeaseHeld: another process has it; the message says which.
            UserError, WorldError: the file cannot be written.
        """
        if self.held:
            return
        with told(self._path):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            for attempt in range(1, _TRIES + 1):  # `holder` of a passer-by locks it for a moment
                if _try_lock(descriptor, fcntl.LOCK_EX):
                    break
                if attempt == _TRIES:
                    who = _written(descriptor) or "another process"
                    raise LeaseHeld(f"{self._path.parent}: held by {who}; wait for it or stop it")
                sleep(_PAUSE_SECONDS)
            holder = Holder(socket.gethostname(), os.getpid(), now)
            with told(self._path):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(asdict(holder)).encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Give it back. Never raises; nothing happens where it is not held."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def holder(path: Path) -> Holder | None:
    """The live holder of the lease at `path`; None where nobody has it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if _try_lock(descriptor, fcntl.LOCK_SH):
            return None
        return _written(descriptor) or Holder("an unknown host", 0, 0.0)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _written(descriptor: int) -> Holder | None:
    try:
        return Holder(**json.loads(os.pread(descriptor, 4096, 0)))
    except (OSError, ValueError, TypeError):
        return None
