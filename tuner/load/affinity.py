"""Pins this process to cores, and puts it back."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


class Pinning:
    """The cores that every thread of this process may use, and those that each had before."""

    def __init__(self) -> None:
        self._before: dict[int, set[int]] = {}

    def pin(self, cpus: Iterable[int]) -> str:
        """Pin all threads to `cpus`; nothing for no cpus.

        Returns:
            "" when it was done or there was nothing to do, else one line that says why not.
        """
        wanted = set(cpus)
        if not wanted:
            return ""
        if not hasattr(os, "sched_setaffinity"):
            return f"not pinned to cores {_brief(wanted)}: this system cannot"
        for thread in _threads():
            try:
                before = os.sched_getaffinity(thread)
                os.sched_setaffinity(thread, wanted)
            except ProcessLookupError:
                continue  # it ended meanwhile
            except OSError as error:
                return f"not pinned to cores {_brief(wanted)}: {error.strerror}"
            self._before.setdefault(thread, before)
        return ""

    def restore(self) -> None:
        """Give every thread its cores back; those made since get what the main thread had."""
        if not self._before:
            return
        main = self._before.get(os.getpid()) or next(iter(self._before.values()))
        for thread in _threads():
            try:
                os.sched_setaffinity(thread, self._before.get(thread, main))
            except OSError:
                continue  # ended meanwhile, or its cores were taken away
        self._before.clear()


def cores_allowed() -> int:
    """How many cores this process may use; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def _threads() -> list[int]:
    try:
        return [int(entry.name) for entry in Path("/proc/self/task").iterdir()]
    except OSError:
        return [0]


def _brief(cpus: set[int]) -> str:
    return ",".join(str(c) for c in sorted(cpus))
