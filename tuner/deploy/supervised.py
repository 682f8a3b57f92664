"""One engine under a supervisor, as its owner sees it: started, told to stop, gone."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from tuner.deploy import supervisor
from tuner.deploy.diagnosis import Ended, kernel_oom_kills

RUN_MARK = "RAY_SERVING_TUNER_RUN"
NAME_MARK = "RAY_SERVING_TUNER_DEPLOYMENT"
OWNER_MARK = "RAY_SERVING_TUNER_OWNER"  # pid:start_ticks of who holds the life line
_LOG_BYTES = 64 * 2**20
_TAIL_BYTES = 32 * 2**10
_TAIL_LINES = 60


def tail(file: IO[bytes]) -> str:
    """The last lines of a log, oldest first, at most 60 lines and 32 KiB."""
    size = os.fstat(file.fileno()).st_size
    start = max(0, size - _TAIL_BYTES)
    text = os.pread(file.fileno(), _TAIL_BYTES, start).decode("utf-8", "replace")
    return "\n".join(text.splitlines()[1 if start else 0 :][-_TAIL_LINES:])


class EngineLog:
    """What the engine writes: a file of a name, or one without that is gone with its last user."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.file: IO[bytes]
        if path is None:
            self.file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 -- lives as long as the deployment
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file = path.open("w+b", buffering=0)
        # The supervisor cuts a long log from the front; writers must follow the new end.
        flags = fcntl.fcntl(self.file, fcntl.F_GETFL)
        fcntl.fcntl(self.file, fcntl.F_SETFL, flags | os.O_APPEND)

    def tail(self) -> str:
        """As `tail`."""
        return tail(self.file)

    def close(self) -> None:
        """Give the file up."""
        self.file.close()


@dataclass(frozen=True, slots=True)
class Mark:
    """What is written into the environment of everything that belongs to a deployment."""

    run: str
    name: str
    owner_pid: int
    owner_start_ticks: int

    @classmethod
    def mine(cls, run: str, name: str) -> Mark:
        """Owned by this process."""
        return cls(run, name, os.getpid(), supervisor.start_ticks(os.getpid()) or 0)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Mark | None:
        """The mark in an environment; None where there is none."""
        try:
            pid, ticks = environment[OWNER_MARK].split(":")
            return cls(environment[RUN_MARK], environment[NAME_MARK], int(pid), int(ticks))
        except (KeyError, ValueError):
            return None

    def write(self) -> dict[str, str]:
        """The variables."""
        owner = f"{self.owner_pid}:{self.owner_start_ticks}"
        return {RUN_MARK: self.run, NAME_MARK: self.name, OWNER_MARK: owner}

    @property
    def orphaned(self) -> bool:
        """Whether the owner has ended."""
        return supervisor.start_ticks(self.owner_pid) != self.owner_start_ticks


def marked() -> Iterable[tuple[psutil.Process, Mark]]:
    """Every living process of this machine that bears a mark, and that may be looked at."""
    for found in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            mark = Mark.read(found.environ())
            if mark and found.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                yield found, mark


class SupervisedEngine:
    """An engine that ends with the object, with this process, or when told."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        mark: Mark,
        cpus: Sequence[int],
        stop_seconds: float,
        log: EngineLog,
    ) -> None:
        """Start it.

        Raises:
            OSError: not even the supervisor could be started.
        """
        self.log = log
        self.pid: int | None = None
        self.start_ticks: int | None = None
        self.exit_code: int | None = None
        self.error: str | None = None  # why the program could not be run at all
        self._mark = mark
        self._gone = False
        self._oom_kills = kernel_oom_kills()
        self._unread = b""
        lifeline_reader, lifeline = os.pipe()
        status, status_writer = os.pipe()
        # File objects, so that the life line closes when nothing refers to the engine any more.
        self._lifeline = io.FileIO(lifeline, "w")
        self._status = io.FileIO(status, "r")
        os.set_blocking(status, False)
        settings = {
            "cpus": list(cpus),
            "stop_seconds": stop_seconds,
            "owner": [mark.owner_pid, mark.owner_start_ticks],
            "log_bytes": _LOG_BYTES,
        }
        fds = (lifeline_reader, status_writer)
        command = [
            sys.executable,
            "-I",
            "-S",
            supervisor.__file__,
            *map(str, fds),
            json.dumps(settings),
            *argv,
        ]
        try:
            self._supervisor = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log.file,
                stderr=log.file,
                env={**environment, **mark.write()},
                pass_fds=fds,
                start_new_session=True,  # a Ctrl-C in the terminal is the driver's to deal with
            )
        finally:
            for end in fds:
                os.close(end)

    def refresh(self) -> None:
        """Read what the supervisor has told since; sets pid, start_ticks, error and exit_code."""
        with contextlib.suppress(OSError, ValueError):
            while read := self._status.read(65536):
                self._unread += read
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        if "pid" in event:
            self.pid, self.start_ticks = event["pid"], event["start_ticks"]
        elif "exit" in event:
            self.exit_code = event["exit"]
        elif "error" in event:
            self.error = event["error"]
        elif "gone" in event:
            self._gone = True

    @property
    def supervised(self) -> bool:
        """Whether the supervisor is still there."""
        return self._supervisor.poll() is None

    @property
    def running(self) -> bool:
        """Whether the engine is, as far as its supervisor has told."""
        supervised = self.supervised  # first, for it may tell something and end in between
        self.refresh()
        return supervised and self.exit_code is None and self.error is None

    @property
    def alive(self) -> bool:
        """Whether the kernel still has the process that it was; known before the supervisor tells."""
        return self.running and supervisor.start_ticks(self.pid or 0) == self.start_ticks

    def ended(self, seconds: float) -> Ended:
        """What is known of its end, after it ran for `seconds`."""
        self.refresh()
        now = kernel_oom_kills()
        kills = None if now is None or self._oom_kills is None else now - self._oom_kills
        return Ended(self.exit_code, self.log.tail(), seconds, kills)

    def tree(self) -> set[int]:
        """The pids of the engine and everything below it."""
        try:
            return {child.pid for child in psutil.Process(self._supervisor.pid).children(recursive=True)}
        except psutil.Error:
            return set()

    def stop(self, *, at_once: bool = False) -> None:
        """Have it end, SIGTERM then SIGKILL, or SIGKILL `at_once`; does not wait and may be repeated."""
        if at_once and self.supervised:
            self._supervisor.send_signal(signal.SIGQUIT)
        self._lifeline.close()

    def gone(self) -> bool:
        """Whether nothing of it is left; kills what a killed supervisor left behind."""
        if self.supervised:
            return False
        self.refresh()
        if not self._gone:
            self._gone = not kill_marked(lambda mark: mark == self._mark)
        if self._gone:
            self._status.close()
            self._lifeline.close()
        return self._gone


def kill_marked(wanted: Callable[[Mark], bool]) -> set[str]:
    """SIGKILL to all marked processes whose mark is wanted; the names of the deployments found."""
    names = set()
    for found, mark in marked():
        if wanted(mark):
            names.add(mark.name)
            with contextlib.suppress(psutil.Error):
                found.send_signal(signal.SIGKILL)
    return names
