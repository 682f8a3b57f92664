"""The highest rate under the SLO, found on servers whose true one is known by formula.

   python benchmarks/slo.py [--seeds 20] [--cases NAME ...] [--seconds 3] [--jobs 4] [--json FILE]

Each case is a truth server (truth/) with a capacity that is set. "M/M/K": Poisson arrivals, exponential
service in K places; the wait for a place is longer than t for a share C exp(-(K/s - rate) t) of the requests,
C being Erlang's. "overflow": even arrivals, equal service, a short queue that answers 503 once it is full;
above the capacity the share of refusals is 1 - capacity / rate. Each seed is a deployment of its own,
searched in blocks of 12 probes of equal length until the stated 95 % interval is within 5 % of the rate. Some
go on at a time: a neighbour's 0.2 ms in a TTFT moves the rate that meets 15 ms by less than 0.1 %. Exit code
1 where the truth lies outside of the interval in more than 2 of 20 seeds, or an interval stays wider.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean

import uvloop
from truth.server import TruthServer

from tuner.load.affinity import Pinning
from tuner.load.rate_search import RateAnswer, RateSearch, SloLimit
from tuner.load.rate_search.probing import probe_at
from tuner.load.target import Target
from tuner.spec.workload import Workload
from tuner.trial.ports import Endpoint

PROBES_IN_BLOCK, MOST_BLOCKS = 12, 8
HALF_WIDTH = 0.05
SHARE_OF_SEEDS = 0.9


@dataclass(frozen=True)
class Case:
    """A server with a capacity of `places / service_us`, and an SLO.

    Attributes:
        queue: requests that may wait; None for no end, and random service and arrivals.
        wait_us: the wait that the SLO allows for (M/M/K).
        allowed: the share that may be late, or refused.
    """

    name: str
    places: int
    service_us: int
    wait_us: int = 0
    allowed: float = 0.1
    queue: int | None = None

    @property
    def capacity(self) -> float:
        """Requests per second that the server can serve."""
        return self.places / self.service_us * 1e6

    @property
    def flags(self) -> dict[str, int | str]:
        """The truth server's."""
        if self.queue is None:
            service: dict[str, int | str] = {"service": "exponential", "service_us": self.service_us}
            return {"places": self.places, "first_us": FIRST_US, **service}
        return {"places": self.places, "first_us": self.service_us, "queue": self.queue}

    @property
    def slo(self) -> SloLimit:
        """What is asked for."""
        if self.queue is None:
            return SloLimit("ttft_p90_ms", (FIRST_US + self.wait_us) / 1e3)
        return SloLimit("error_rate", self.allowed)

    @property
    def truth(self) -> float:
        """The highest rate under the SLO, requests per second."""
        if self.queue is not None:
            return self.capacity / (1 - self.allowed)
        low, high = 0.0, self.capacity * (1 - 1e-9)
        for _ in range(100):
            rate = (low + high) / 2
            low, high = (rate, high) if self._late(rate) <= self.allowed else (low, rate)
        return low

    def _late(self, rate: float) -> float:
        load, blocked = rate * self.service_us / 1e6, 1.0
        for k in range(1, self.places + 1):
            blocked = load * blocked / (k + load * blocked)
        used = load / self.places
        waits = blocked / (1 - used + used * blocked)
        return waits * math.exp(-(self.capacity - rate) * self.wait_us / 1e6)


# The first token leaves at once: a TTFT is the wait for a place and what the way takes.
FIRST_US = 0
CASES = [
    Case("overflow 125/s", places=5, service_us=40_000, allowed=0.02, queue=2),
    Case("overflow 250/s", places=10, service_us=40_000, allowed=0.02, queue=4),
    Case("overflow 500/s", places=20, service_us=40_000, allowed=0.02, queue=8),
    Case("M/M/16 400/s", places=16, service_us=40_000, wait_us=20_000),
]


@dataclass(frozen=True)
class Found:
    """One seed of one case."""

    seed: int
    rate: float
    low: float
    high: float
    cliff: bool
    probes: int
    unusable: int
    seconds: float

    def holds(self, truth: float) -> bool:
        """Whether the truth lies inside."""
        return self.low <= truth <= self.high

    @property
    def half_width(self) -> float:
        """As a share of the rate."""
        return (self.high - self.low) / 2 / self.rate


async def search(case: Case, seed: int, window_seconds: float) -> Found:
    """Search one deployment."""
    cores = sorted(os.sched_getaffinity(0))
    flags = {**case.flags, **({"cpu": cores[0]} if len(cores) > 1 else {}), "seed": 1 + seed, "nice": -10}
    arrivals = "poisson" if case.queue is None else "constant"
    tokens = 2 if case.queue is None else 1  # a first token, and one at the end of the service
    workload = Workload.model_validate(
        {
            "scenario": f"D(8,{tokens})",
            "request_rate": case.capacity,
            "arrivals": arrivals,
            "round_seconds": window_seconds,
            "seed": seed,
        }
    )
    point, rates = workload.points[0], RateSearch(low=0.25 * case.capacity, high=2 * case.capacity)
    began = time.perf_counter()
    with TruthServer(**flags) as server:
        endpoint = Endpoint(url=server.url, model="truth", metrics_url=f"{server.url}/metrics")
        target = Target(endpoint, workload, "completions", salt=f"seed {seed}", clock=time.perf_counter)
        await target.prepare()
        numbers = iter(range(10**6))
        answer = RateAnswer(math.nan, 0.0, math.inf)
        try:
            for _ in range(MOST_BLOCKS):
                answer = await rates.run_block(
                    lambda rate: probe_at(
                        target,
                        point,
                        [case.slo],
                        rate=rate,
                        name=f"probe {next(numbers)}",
                        window_seconds=window_seconds,
                        clock=time.perf_counter,
                    ),
                    probes=PROBES_IN_BLOCK,
                    clock=time.perf_counter,
                )
                if answer.half_width <= HALF_WIDTH:
                    break
        finally:
            await target.close()
    unusable = sum(not p.usable for p in rates.probes)
    seconds = time.perf_counter() - began
    return Found(seed, answer.rate, answer.low, answer.high, answer.cliff, answer.probes, unusable, seconds)


def row(case: Case, found: list[Found]) -> tuple[str, bool]:
    """One line of the table, and whether the case met its target."""
    held = sum(f.holds(case.truth) for f in found)
    widest = max(f.half_width for f in found)
    met = held >= SHARE_OF_SEEDS * len(found) and widest <= HALF_WIDTH
    error = fmean(f.rate / case.truth - 1 for f in found)
    scatter = math.sqrt(fmean((f.rate / case.truth - 1) ** 2 for f in found))
    cells = [
        f"{case.name:14}",
        f"{case.slo.metric} <= {case.slo.limit:g}".ljust(20),
        f"{case.truth:7.1f}",
        f"{held:2} of {len(found):2}",
        f"{fmean(f.half_width for f in found):5.1%}",
        f"{widest:5.1%}",
        f"{error:+6.2%}",
        f"{scatter:5.2%}",
        f"{sum(f.cliff for f in found):2} of {len(found):2}",
        f"{fmean(f.probes for f in found):5.1f}",
        f"{sum(f.unusable for f in found):4}",
        f"{fmean(f.seconds for f in found):6.0f}",
        "yes" if met else "NO",
    ]
    return "| " + " | ".join(cells) + " |", met


HEAD = (
    "| server | SLO | true rate/s | inside 95 % | half-width mean | widest | mean error | RMS error | cliff |"
    " probes | unusable | s | met |"
)


def search_alone(case: Case, seed: int, window_seconds: float) -> Found:
    """`search` in a process of its own, its client off the server's core."""
    cores = sorted(os.sched_getaffinity(0))
    pinning = Pinning()
    pinning.pin(cores[1:] if len(cores) > 1 else [])
    try:
        return uvloop.run(search(case, seed, window_seconds))
    finally:
        pinning.restore()


def told(case: Case, f: Found) -> str:
    """One line of progress."""
    interval = f"{f.rate:.1f} ({f.low:.1f} to {f.high:.1f}), true {case.truth:.1f}"
    return f"{case.name} seed {f.seed}: {interval}, {f.probes} probes in {f.seconds:.0f} s"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one probe's window")
    parser.add_argument(
        "--cases", nargs="+", default=[c.name for c in CASES], choices=[c.name for c in CASES]
    )
    parser.add_argument("--jobs", type=int, default=4, help="searches at a time")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    every, all_met = {}, True
    print(HEAD + "\n" + "|---" * HEAD.count(" | ") + "|---|", flush=True)
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
        for case in (c for c in CASES if c.name in given.cases):
            asked = [pool.submit(search_alone, case, seed, given.seconds) for seed in range(given.seeds)]
            found = []
            for one in asked:
                found.append(one.result())
                print(told(case, found[-1]), file=sys.stderr, flush=True)
            line, met = row(case, found)
            print(line, flush=True)
            all_met = all_met and met
            every[case.name] = {"truth": case.truth, "seeds": [asdict(f) for f in found]}
    if given.json:
        given.json.write_text(json.dumps(every, indent=1) + "\n")
    return 0 if all_met else 1


if __name__ == "__main__":
    raise SystemExit(main())
