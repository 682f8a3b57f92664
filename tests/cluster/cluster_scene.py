"""A search on the test cluster whose parts can be killed: the driver's, and pods, engines, the webhook."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import search_site
from kubernetes import client
from storm import DRIVER, RAYLET, Victim
from toll import Expected

RUN, DEPLOYMENT = "autotuner.io/run", "autotuner.io/experiment-id"
TRIALS = 6

# Five configurations that serve and one that crashes, as on one machine.
EXPERIMENT: dict[str, Any] = {
    "deploy": {"ready_seconds": 120, "stop_seconds": 2},
    "parameters": {
        "slots": {"values": [8, 12, 16, 20, 24], "flag": "--parallel"},
        "cache_v": {"values": ["f16", "q8_0"], "flag": "--cache-type-v"},
        "flash": {"values": ["off"], "flag": "--flash-attn"},
    },
    "constraints": ["cache_v == 'f16' or slots == 12"],
    "baseline": {"slots": 16, "cache_v": "f16", "flash": "off"},
    "slo": None,
    "workload": {"rounds": 2, "round_seconds": 2},
    "search": {"trials": TRIALS, "early_stop": "none", "budget": {"failures_in_a_row": 100}},
    "validation": {"top": 1, "deployments": 2, "rounds": 1},
}
EXPECTED = Expected(TRIALS, lambda params: params["cache_v"] == "q8_0")


class ClusterScene:
    """See `storm.Scene`.

    Args:
        webhook: the namespace of its pods; "" where there is none.
    """

    def __init__(self, place: Any, *, name: str, webhook: str) -> None:
        self._place = place
        self._experiment = place.experiment(name, **EXPERIMENT)
        self._webhook = webhook
        self._core = client.CoreV1Api(place.api)
        self._started: Any = None
        self.runs: Path = place.lab.runs
        titles = search_site.whole_runs
        self.targets: Mapping[str, Callable[[], list[Victim]]] = {
            DRIVER: self._driver,
            "trial actor": lambda: self._of_title("trial actor", titles.TRIAL_ACTOR),
            "benchmark actor": lambda: self._of_title("benchmark actor", titles.BENCHMARK_ACTOR),
            RAYLET: lambda: self._of_title(RAYLET, "raylet"),
            "engine": self._engines,
            "engine pod": self._pods,
        }
        if webhook:
            self.targets = {**self.targets, "webhook": self._webhooks}

    def start(self) -> Any:
        """The search, new or gone on with, under the namespace's account."""
        self._started = self._place.start(self._experiment)
        return self._started

    def left_without_driver(self) -> list[str]:
        """Nothing counts: the next driver sweeps what a dead one left."""
        return []

    def _driver(self) -> list[Victim]:
        process = self._started.process
        return [] if process.poll() is not None else [Victim(DRIVER, str(process.pid), process.kill)]

    def _of_title(self, target: str, beginning: str) -> list[Victim]:
        return [
            Victim(target, str(process.pid), process.kill) for process in self._place.lab.named(beginning)
        ]

    def _engines(self) -> list[Victim]:
        """The first process of each trial's container; a baseline that fails would end the run."""
        pods = {pod.metadata.name: pod.metadata.labels[DEPLOYMENT] for pod in self._live_pods()}
        return [
            Victim("engine", pods[pod], process.kill, deployment=pods[pod])
            for pod, process in _first_processes(set(pods)).items()
            if "-t0000-a" not in pods[pod]
        ]

    def _pods(self) -> list[Victim]:
        space = self._place.namespace.name

        def ended(name: str) -> Callable[[], None]:
            def kill() -> None:
                with suppress(client.ApiException):
                    self._core.delete_namespaced_pod(name, space, grace_period_seconds=0)

            return kill

        return [
            Victim("engine pod", pod.metadata.name, ended(pod.metadata.name)) for pod in self._live_pods()
        ]

    def _webhooks(self) -> list[Victim]:
        pods = self._core.list_namespaced_pod(self._webhook).items
        found = _first_processes({pod.metadata.name for pod in pods})
        return [Victim("webhook", pod, process.kill) for pod, process in found.items()]

    def _live_pods(self) -> list[Any]:
        return [
            pod
            for pod in self._place.pods(RUN)
            if pod.status.phase == "Running" and not pod.metadata.deletion_timestamp
        ]


def _first_processes(pods: set[str]) -> dict[str, psutil.Process]:
    """Of each pod, by name, the process that its container began with; containers share this machine."""
    found: dict[str, psutil.Process] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            pod = process.environ().get("HOSTNAME", "")
            if pod in pods and process.name() != "pause" and process.status() != psutil.STATUS_ZOMBIE:
                first = found.get(pod)
                if first is None or process.create_time() < first.create_time():
                    found[pod] = process
    return found
