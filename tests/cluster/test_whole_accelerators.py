"""Trials of 1, 2, 4 and 8 accelerators side by side on two nodes of 8, three of which somebody else holds."""

from __future__ import annotations

import threading
import time
from collections import defaultdict

import pytest
import search_site
from kubernetes import client

pytestmark = pytest.mark.cluster

PER_NODE = 8
HELD = 3
GPU = "nvidia.com/gpu"
RELEASE_SECONDS = 15.0  # between the end of a trial and its pod's, at most: grace and garbage collection


@pytest.fixture
def somebody_elses(new_namespace, admin_api, nodes, until):
    """A pod of another namespace that holds three accelerators of the first node."""
    with new_namespace("others") as namespace:
        core = client.CoreV1Api(admin_api)
        core.create_namespaced_pod(
            namespace.name,
            {
                "metadata": {"name": "busy"},
                "spec": {
                    "nodeSelector": {"kubernetes.io/hostname": sorted(nodes)[0]},
                    "terminationGracePeriodSeconds": 0,
                    "containers": [
                        {
                            "name": "pause",
                            "image": "local/pause:1",
                            "imagePullPolicy": "IfNotPresent",
                            "resources": {"limits": {GPU: str(HELD)}},
                        }
                    ],
                },
            },
        )
        until(
            lambda: core.read_namespaced_pod("busy", namespace.name).status.phase == "Running",
            seconds=60,
            what="the other pod runs",
        )
        yield


class Watched:
    """Looks at the trials' pods all the time: who held how much of which node, and until when."""

    def __init__(self, place):
        self._place = place
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.most = defaultdict(int)  # node -> accelerators of trials at one moment
        self.at_once = 0  # trials that held some
        self.last_seen = {}  # trial name -> Unix time

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _look(self):
        while not self._over.wait(0.1):
            held, now, names = defaultdict(int), time.time(), set()
            for pod in self._place.pods("autotuner.io/run"):
                if pod.spec.node_name and pod.status.phase in ("Pending", "Running"):
                    names.add(pod.metadata.labels["autotuner.io/experiment-id"])
                    for container in pod.spec.containers:
                        held[pod.spec.node_name] += int((container.resources.limits or {}).get(GPU, 0))
            for node, count in held.items():
                self.most[node] = max(self.most[node], count)
            self.at_once = max(self.at_once, len(names))
            self.last_seen.update(dict.fromkeys(names, now))


@pytest.mark.timeout(900)
def test_wide_and_narrow_trials_share_what_is_free_and_none_starves(place, somebody_elses, nodes):
    experiment = place.experiment(
        parameters={
            "tp": {"values": [1, 2, 4, 8], "env": "TP"},
            "slots": {"values": [8, 16], "flag": "--parallel"},
        },
        baseline={"tp": 1, "slots": 8},
        deploy={"accelerators": "tp", "ready_seconds": 120},
        search={"trials": 8, "parallel": 4, "early_stop": "none"},
        workload={"rounds": 1, "round_seconds": 1},
        slo={},
        validation={"enabled": False},
    )
    with Watched(place) as seen:
        ended = place.run(experiment, seconds=600)
    assert ended.code == 0, f"{ended.out}\n{ended.err}"
    lines = search_site.trials(search_site.only_run(place))
    widths = sorted(line["params"]["tp"] for line in lines if line["state"] == "complete")
    assert widths == [1, 1, 2, 2, 4, 4, 8, 8]
    first, second = sorted(nodes)
    assert seen.most[first] <= PER_NODE - HELD
    assert seen.most[second] <= PER_NODE
    assert seen.at_once >= 2
    for line in lines:
        name = f"{search_site.only_run(place).name[:8]}-t{line['trial']:04d}-a{line['attempt']}"
        assert seen.last_seen[name] < line["ended"] + RELEASE_SECONDS
        held = line["accelerator_seconds"] / line["params"]["tp"]
        assert held <= seen.last_seen[name] - line["started"] + 1.0
