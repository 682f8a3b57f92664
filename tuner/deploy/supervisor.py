"""A program of its own that keeps one engine and lets nothing of it survive.

Started by `supervised.py` as

    python -I -S supervisor.py LIFELINE_FD STATUS_FD SETTINGS_JSON ARGV...

It has one thread, because PR_SET_PDEATHSIG fires when the *thread* that forked ends, and imports nothing but
the standard library, because it starts with every trial. The owner holds the writing end of the life line;
when that closes, for whatever reason, everything here ends: SIGTERM, then SIGKILL after `stop_seconds` (at
once after a SIGQUIT to the supervisor). As a subreaper it inherits whatever the engine's own children leave
behind. Should the supervisor itself be killed, the kernel kills the engine.

Standard output and error are the engine's log. STATUS_FD takes one JSON object a line: `{"pid",
"start_ticks"}` once it runs, `{"error"}` if it cannot be run, `{"exit"}` with its exit code (negative for a
signal), and `{"gone": true}` when no descendant is left.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PF_EXITING = 0x4  # of the flags in /proc/<pid>/stat
_TICK_SECONDS = 1.0  # how often the owner and the log's size are looked at
_REAP_SECONDS = 0.02  # how often the descendants are listed while they end


def start_ticks(pid: int) -> int | None:
    """Clock ticks from boot to the start of `pid`, which tells it from a later process of the same number.

    None where there is no such process, or it is exiting or a zombie.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 -- start-up time
            state, *fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    exiting = state in "ZX" or int(fields[5]) & _PF_EXITING  # its sockets close before it is a zombie
    return None if exiting else int(fields[18])


def descendants() -> list[int]:
    """Everything below this process, zombies included."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            with (
                contextlib.suppress(OSError),
                open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file,  # noqa: PTH123
            ):
                parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {os.getpid()})


class Supervisor:
    """Starts the engine, watches it and its owner, ends both in order."""

    def __init__(self, lifeline: int, status: int, settings: dict[str, Any]) -> None:
        self._lifeline = lifeline
        self._status = status
        self._settings = settings
        self._stopping = False
        self._exit_code: int | None = None
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl
        self._wake, wake_writer = os.pipe()
        for end in (self._wake, wake_writer):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, self._stop)

    def run(self, argv: list[str]) -> None:
        """Returns once nothing of the engine is left."""
        self._prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        engine = self._start(argv)
        self._tell({"pid": engine, "start_ticks": start_ticks(engine)})
        while self._exit_code is None and not self._stopping:
            self._sleep(_TICK_SECONDS)
            self._reap(engine)
            self._bound_log()
        self._end_all(engine)
        self._tell({"gone": True})

    def _start(self, argv: list[str]) -> int:
        parent = os.getpid()
        child = os.fork()
        if child:
            return child
        try:
            os.setsid()
            self._prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # it ended before the line above
                os._exit(127)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and exec would keep that
            if self._settings["cpus"]:
                os.sched_setaffinity(0, self._settings["cpus"])
            os.execvp(argv[0], argv)
        except OSError as error:
            self._tell({"error": f"{argv[0]}: {error.strerror}"})
        os._exit(127)

    def _sleep(self, seconds: float) -> None:
        """Until a signal, the end of the life line, or `seconds` have passed."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        if not self._stopping:
            poll.register(self._lifeline, select.POLLIN)
        ready = dict(poll.poll(seconds * 1000))
        if self._wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 4096)
        owner, ticks = self._settings["owner"]
        if self._lifeline in ready or start_ticks(owner) != ticks:
            self._stopping = True

    def _reap(self, engine: int) -> bool:
        """Collect what ended; False when there is no child left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not pid:
                return True
            if pid == engine:
                self._exit_code = os.waitstatus_to_exitcode(status)
                self._tell({"exit": self._exit_code})

    def _end_all(self, engine: int) -> None:
        """SIGTERM, then SIGKILL; the list is read again each time, for what is forked meanwhile."""
        asked = time.monotonic()
        told: set[int] = set()
        while self._reap(engine):
            kill = time.monotonic() >= asked + self._settings["stop_seconds"]
            for pid in descendants():
                if kill or pid not in told:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL if kill else signal.SIGTERM)
                        os.kill(pid, signal.SIGCONT)
                    told.add(pid)
            self._sleep(_REAP_SECONDS)

    def _bound_log(self) -> None:
        """Keep the last quarter of a log that has grown beyond its limit; a line at the seam may be lost."""
        limit = self._settings["log_bytes"]
        with contextlib.suppress(OSError):
            size = os.fstat(1).st_size
            if size > limit:
                tail = os.pread(1, limit // 4, size - limit // 4)
                os.ftruncate(1, 0)
                os.write(1, tail)

    def _stop(self, number: int, _: object) -> None:
        self._stopping = True
        if number == signal.SIGQUIT:
            self._settings["stop_seconds"] = 0.0

    def _tell(self, event: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the owner may be gone
            os.write(self._status, json.dumps(event).encode() + b"\n")


def main(arguments: list[str]) -> None:
    """See the module's docstring."""
    lifeline, status, settings, *argv = arguments
    os.set_inheritable(int(lifeline), False)
    os.set_inheritable(int(status), False)
    Supervisor(int(lifeline), int(status), json.loads(settings)).run(argv)


if __name__ == "__main__":
    main(sys.argv[1:])
