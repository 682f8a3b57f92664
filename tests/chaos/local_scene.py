"""A search on this machine whose parts can be killed: the embedded engine, a Ray of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import whole_runs
from storm import DRIVER, RAYLET, Victim
from toll import Expected

from tuner.deploy.supervised import NAME_MARK

ENGINES_GONE_SECONDS = 5.0
RAY_GONE_SECONDS = 90.0  # Ray's agents try for 60 s to tell a driver that is gone of its raylet's end
TRIALS = 6

# Five configurations that serve and one that crashes: a quantised cache without flash attention. The engine
# of the baseline is left alone in the search, for a baseline that fails ends a run.
EXPERIMENT: dict[str, Any] = {
    "name": "chaos",
    "deploy": {"ready_seconds": 90},
    "parameters": {
        "slots": {"values": [2, 4, 6, 8, 12], "flag": "--parallel"},
        "cache_v": {"values": ["f16", "q8_0"], "flag": "--cache-type-v"},
        "flash": {"values": ["off"], "flag": "--flash-attn"},
    },
    "constraints": ["cache_v == 'f16' or slots == 4"],
    "baseline": {"slots": 8, "cache_v": "f16", "flash": "off"},
    "slo": None,
    "workload": {"rounds": 2, "warmup_seconds": 0.2},
    "search": {"trials": TRIALS, "early_stop": "none", "budget": {"failures_in_a_row": 100}},
    "validation": {"top": 1, "deployments": 2, "rounds": 1},
}
EXPECTED = Expected(TRIALS, lambda params: params["cache_v"] == "q8_0")


class LocalScene:
    """See `storm.Scene`; over a lab, which ends what is left."""

    def __init__(self, lab: Any) -> None:
        self._lab = lab
        self._experiment = lab.write(**EXPERIMENT)
        self._started: Any = None
        self.runs: Path = lab.runs
        self.targets: Mapping[str, Callable[[], list[Victim]]] = {
            DRIVER: self._driver,
            "trial actor": lambda: self._of_title("trial actor", whole_runs.TRIAL_ACTOR),
            "benchmark actor": lambda: self._of_title("benchmark actor", whole_runs.BENCHMARK_ACTOR),
            "engine": self._engines,
            RAYLET: lambda: self._of_title(RAYLET, "raylet"),
        }

    def start(self) -> Any:
        """The search, new or gone on with."""
        self._started = self._lab.start(self._experiment)
        return self._started

    def left_without_driver(self) -> list[str]:
        """Engines and their supervisors."""
        return sorted(self._lab.deployments())

    def left(self) -> list[str]:
        """Every process of the lab."""
        return [f"process {process.pid}" for process in self._lab.processes()]

    def _driver(self) -> list[Victim]:
        process = self._started.process
        return [] if process.poll() is not None else [Victim(DRIVER, str(process.pid), process.kill)]

    def _of_title(self, target: str, beginning: str) -> list[Victim]:
        return [Victim(target, str(process.pid), process.kill) for process in self._lab.named(beginning)]

    def _engines(self) -> list[Victim]:
        found = []
        for process in self._lab.engines():
            try:
                name = process.environ()[NAME_MARK]
                is_engine = process.cmdline()[1:2] == ["-P"]  # not its supervisor
            except (psutil.Error, KeyError):
                continue
            if is_engine and "-t0000-a" not in name:
                found.append(Victim("engine", name, process.kill, deployment=name))
        return found
