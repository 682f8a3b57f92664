"""Who drives a run: told from every process on any machine, and near by also whether it still lives."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from pathlib import Path

import psutil

_LONGEST_LABEL = 63
_STARTED_DIGITS = 9
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PIDS = Path("/proc/self/ns/pid")


def this_driver() -> str:
    """This process: host, pid and when it started; fit for a label."""
    tail = f"-{os.getpid()}-{_started(psutil.Process())}"
    host = re.sub(r"[^A-Za-z0-9-]+", "-", socket.gethostname()).strip("-") or "host"
    return host[: _LONGEST_LABEL - len(tail)].rstrip("-") + tail


def pid_space() -> str:
    """What pids of this process mean: the machine's boot and the pid namespace; "" where it cannot be told.

    A host's name will not do: two machines may have the same, and two containers of one machine do not see
    each other's processes.
    """
    try:
        return hashlib.sha256(f"{_BOOT.read_text()} {_PIDS.readlink()}".encode()).hexdigest()[:16]
    except OSError:
        return ""


def has_ended(driver: str, *, space: str) -> bool:
    """Whether the process of `this_driver` is known to be gone; False where it cannot be seen from here."""
    match = re.search(r"-(\d+)-(\d+)$", driver)
    if match is None or not space or space != pid_space():
        return False
    try:
        process = psutil.Process(int(match[1]))
        return _started(process) != match[2] or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def _started(process: psutil.Process) -> str:
    return f"{process.create_time() * 100:.0f}"[-_STARTED_DIGITS:]
