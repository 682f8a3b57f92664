"""How many processes a load point needs: expected before it is measured, known afterwards. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuner.load.trust import CLIENT_LAG_P99_LIMIT_MS
from tuner.spec.workload import LoadPoint

# Client CPU, a little above what benchmarks/load.py shows.
CPU_SECONDS_PER_TOKEN = 15e-6
CPU_SECONDS_PER_REQUEST = 200e-6
# A closed loop's token rate is the engine's, and not known before; 10 ms between tokens is a fast one.
EXPECTED_TPOT_SECONDS = 0.010
SPREAD_ABOVE_CORES = 0.5
# What a process is given when there are several: below the share from which a window is client-bound.
CORES_PER_PROCESS = 0.4
# From this share on a process had no time left, and what it would have used is anybody's guess: twice that.
FULL_SHARE = 0.85
SHORTEST_SECONDS = 1.0


def expected_cores(point: LoadPoint) -> float:
    """What one process would need for the load of `point`, in cores; on a ramp at its highest."""
    tokens = max(1.0, point.lengths.mean_tokens()[1])
    requests_per_second = point.level.peak
    requests_per_second *= (
        point.mean_turns if point.concurrency is None else 1 / (tokens * EXPECTED_TPOT_SECONDS)
    )
    return requests_per_second * (CPU_SECONDS_PER_REQUEST + tokens * CPU_SECONDS_PER_TOKEN)


class SpreadPlan:
    """How many processes each point's load is spread over.

    Args:
        most: as many as the cores that the load may use.
        fixed: that many for every point, whatever it costs; None to go by the cost.
    """

    def __init__(self, *, most: int, fixed: int | None = None) -> None:
        self._most = most
        self._fixed = fixed
        self._measured_cores: dict[str, float] = {}

    def processes(self, point: LoadPoint) -> int:
        """1 up to half of a core, then as many as leave each of them below that."""
        if self._fixed is not None:
            return self._fixed
        cores = self._measured_cores.get(_key(point), expected_cores(point))
        if cores <= SPREAD_ABOVE_CORES:
            return 1
        return max(1, min(self._most, math.ceil(cores / CORES_PER_PROCESS)))

    def learn(
        self, point: LoadPoint, cpu_shares: Sequence[float], *, lag_p99_ms: float, seconds: float
    ) -> None:
        """`point` took `cpu_shares` of a core from the processes that shared its load.

        The first measurement replaces what was expected, a later one counts where it is higher: the number
        of processes must not go back and forth from round to round. Processes that came late did not do all
        that there was to do, with their own time gone or others in it, so what they used is a lower bound.
        A load of under SHORTEST_SECONDS is mostly its own beginning and teaches nothing. A ramp takes more at
        its highest than on the mean, in proportion to its level.
        """
        if seconds < SHORTEST_SECONDS:
            return
        higher = point.level.peak / point.level.mean
        cores = higher * sum(cpu_shares)
        if higher * max(cpu_shares, default=0.0) > FULL_SHARE or lag_p99_ms > CLIENT_LAG_P99_LIMIT_MS:
            cores = max(2.0 * cores, expected_cores(point))
        before = self._measured_cores.get(_key(point), 0.0)
        self._measured_cores[_key(point)] = max(before, cores)


def _key(point: LoadPoint) -> str:
    return f"{point.name} {point.concurrency} {point.request_rate} {point.ramp_to}"
