"""What used the machine's processors during a window: this process, the engine, and everybody else."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

_SERVING_PID = re.compile(r"\bpid (\d+)\b")


@dataclass(frozen=True, slots=True)
class HostUsage:
    """Shares of one window.

    Attributes:
        client_cpu_share: of one core, by this process; of a merged load, by the busiest one of its processes.
        client_cpu_cores: by all processes that make the load.
        foreign_cpu_cores: cores used by neither this process nor the engine, on the cores where either of
            them may run.
        steal_share: taken by the hypervisor, a share of those cores' time.
        throttled_share: of the window, during which this process's cgroup was held back; 0 where unknown.
    """

    client_cpu_share: float = 0.0
    client_cpu_cores: float = 0.0
    foreign_cpu_cores: float = 0.0
    steal_share: float = 0.0
    throttled_share: float = 0.0


@dataclass(frozen=True, slots=True)
class _Reading:
    at: float
    client: float
    engine: float
    busy: float
    steal: float
    throttled: float


def serving_pid(serving: str) -> int | None:
    """The process id in an endpoint's `serving`; None where it names none."""
    found = _SERVING_PID.search(serving)
    return int(found[1]) if found else None


class HostMeter:
    """Reads the counters at both ends of a window.

    Args:
        engine_pid: root of the engine's process tree on this machine; None where it is elsewhere.

    Making one lists processes (milliseconds), reading takes under one.
    """

    def __init__(self, engine_pid: int | None) -> None:
        self._engine = _tree(engine_pid)
        self._cores = _cores(self._engine)
        self._throttle_file = _throttle_file()
        self._first = self._read()

    def begin(self) -> None:
        """The window opens."""
        self._first = self._read()

    def end(self) -> HostUsage:
        """What was used since `begin`."""
        first, last = self._first, self._read()
        seconds = max(last.at - first.at, 1e-9)
        client = max(0.0, last.client - first.client)
        engine = max(0.0, last.engine - first.engine)
        busy = max(0.0, last.busy - first.busy)
        return HostUsage(
            client_cpu_share=client / seconds,
            client_cpu_cores=client / seconds,
            foreign_cpu_cores=max(0.0, busy - client - engine) / seconds,
            steal_share=max(0.0, last.steal - first.steal) / seconds / max(1, len(self._cores)),
            throttled_share=min(1.0, max(0.0, last.throttled - first.throttled) / seconds),
        )

    def _read(self) -> _Reading:
        per_core = psutil.cpu_times(percpu=True)
        cores = [per_core[c] for c in self._cores if c < len(per_core)]
        # Interrupts are left out: those of the load's own sockets belong to nobody.
        busy = sum(c.user + c.system + getattr(c, "nice", 0.0) for c in cores)
        steal = sum(getattr(c, "steal", 0.0) for c in cores)
        engine = sum(_cpu_seconds(p) for p in self._engine)
        throttled = _throttled_seconds(self._throttle_file)
        return _Reading(time.perf_counter(), time.process_time(), engine, busy, steal, throttled)


def _tree(pid: int | None) -> list[psutil.Process]:
    if pid is None:
        return []
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _cores(engine: Iterable[psutil.Process]) -> set[int]:
    cores: set[int] = set()
    for process in (psutil.Process(), *engine):
        try:
            cores.update(process.cpu_affinity() or ())
        except (psutil.Error, AttributeError):  # no affinity on this system
            cores.update(range(psutil.cpu_count() or 1))
    return cores


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _throttle_file() -> Path | None:
    """The cpu.stat of this process's cgroup, as far as it can be seen from here."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = "/sys/fs/cgroup" if not controllers else f"/sys/fs/cgroup/{controllers}"
        for folder in (Path(root + path), Path(root)):
            if (folder / "cpu.stat").is_file():
                return folder / "cpu.stat"
    return None


def _throttled_seconds(file: Path | None) -> float:
    if file is None:
        return 0.0
    try:
        fields = dict(line.split(maxsplit=1) for line in file.read_text().splitlines() if " " in line)
    except (OSError, ValueError):
        return 0.0
    if "throttled_usec" in fields:  # cgroup v2
        return int(fields["throttled_usec"]) / 1e6
    return int(fields.get("throttled_time", 0)) / 1e9
