"""Gives out TCP ports to engines on one machine, and tells who listens on one.

Between choosing a port and the engine's listening on it anybody may take it. Ports are chosen outside the
range that the kernel gives to outgoing connections; two trials never choose the same, because each holds an
abstract Unix socket of the port's name (the kernel frees it with its holder); and whoever else comes in
between is found out by `owners` before the endpoint is trusted.
"""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

import psutil

_LOWEST = 20_000  # Ray's workers listen on 10002 to 19999
_HIGHEST = 32_000
_ATTEMPTS = 200


class PortTaken(Exception):
    """Somebody listens there, or has reserved it; one line."""


class ReservedPort:
    """A port that no other deployment of this machine's tuners will take while this is open."""

    def __init__(self, number: int) -> None:
        """Reserve `number`.

        Raises:
            PortTaken: it is reserved, or somebody listens on it.
        """
        self.number = number
        self._lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._lock.bind(f"\0ray-serving-tuner-port-{number}")
            with socket.socket() as trial:
                # As servers do: a connection of the last engine's that lingers is no hindrance.
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(("127.0.0.1", number))
        except OSError as error:
            self._lock.close()
            raise PortTaken(f"port {number} is taken by {_listener(number)}") from error

    def close(self) -> None:
        """Give it back; may be repeated."""
        self._lock.close()


def reserve_port(fixed: int | None, rng: random.Random) -> ReservedPort:
    """The fixed port, or any free one.

    Raises:
        PortTaken: the fixed one is; or no free one was found.
    """
    if fixed is not None:
        return ReservedPort(fixed)
    highest = max(_LOWEST + 1000, min(_HIGHEST, _first_ephemeral_port()))
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(PortTaken):
            return ReservedPort(rng.randrange(_LOWEST, highest))
    raise PortTaken(f"no free port from {_LOWEST} to {highest}")


def owners(port: int, among: set[int] | None = None) -> set[int]:
    """The pids that listen on `port`, of those that may be looked at; only `among` where given."""
    found = set()
    for process in psutil.process_iter() if among is None else map(_process, among):
        if process is None:
            continue
        with contextlib.suppress(psutil.Error, OSError):
            connections = process.net_connections(kind="tcp")
            if any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections):
                found.add(process.pid)
    return found


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


def _listener(port: int) -> str:
    for pid in sorted(owners(port)):
        with contextlib.suppress(psutil.Error):
            return f"pid {pid} ({psutil.Process(pid).name()})"
    return "another program or deployment"


def _first_ephemeral_port() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        return 32_768
