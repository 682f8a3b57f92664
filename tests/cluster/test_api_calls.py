"""What a search costs its cluster: its requests, counted in the API server's audit log; many trials too."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
import search_site
import yaml
from audit_log import Requests, requests_of
from fake_engine import FakeEngine
from fake_nodes import FakeNodes, selector, toleration

pytestmark = pytest.mark.cluster

MOST_CALLS = 25  # of a trial, beside watches
# `make bench-cluster` sets these: 1,000 trials, 50 at a time.
TRIALS = int(os.environ.get("TUNER_FAKE_TRIALS", "12"))
PARALLEL = int(os.environ.get("TUNER_FAKE_PARALLEL", "4"))
FLAT_SHARE = 1.1  # of the driver's memory, between the first fifth of a long run and its end
LONG = 200  # trials from which on its memory is judged
SECONDS = 120 + 12 * TRIALS


@pytest.fixture
def audit(admin_kubeconfig) -> Path:
    """The API server's audit log."""
    path = admin_kubeconfig.parent / "audit.log"
    if not path.exists():
        pytest.skip(
            "the test needs an API server that writes audit.log beside its kubeconfig, as `make cluster` does"
        )
    return path


def account(namespace) -> str:
    return f"system:serviceaccount:{namespace.name}:{namespace.account}"


def test_a_trial_on_ome_costs_at_most_25_calls_and_nothing_is_listed_in_a_loop(place, audit):
    experiment = place.experiment(
        slo=None, workload={"rounds": 4, "round_seconds": 1}, search={"early_stop": "none"}
    )
    with requests_of(account(place.namespace), audit) as found:
        ended = place.run(experiment)
    assert ended.code == 0, f"{ended.out}\n{ended.err}"
    made = search_site.trials(search_site.only_run(place))
    _judge(found.from_first("create", "inferenceservices"), len(made))


def _judge(found: Requests, deployments: int) -> None:
    print(f"{deployments} deployments, {len(found) / deployments:.1f} calls each: {found.shown()}")
    assert len(found) / deployments <= MOST_CALLS, found.shown()
    # Of what names one deployment a list is asked a few times; of what names none, once a deployment.
    most = Counter(where for where in found.where("list") if "experiment-id=" in where)
    assert max(most.values(), default=0) <= 6, most.most_common(3)
    others = Counter(where for where in found.where("list") if "experiment-id=" not in where)
    assert max(others.values(), default=0) <= deployments + 5, others.most_common(3)


@pytest.fixture
def fake_place(new_namespace, admin_api, tmp_path):
    """A namespace, stand-in nodes with room for all trials, and a lab."""
    with (
        new_namespace("fake", reader=True) as namespace,
        FakeEngine() as engine,
        FakeNodes(admin_api, count=2, accelerators=(PARALLEL + 1) // 2) as nodes,
    ):
        lab = search_site.whole_runs.Lab(tmp_path)
        try:
            yield namespace, engine, nodes, lab
        finally:
            lab.close()


@pytest.mark.timeout(SECONDS + 120)
def test_many_trials_at_once_cost_the_same_each_and_the_drivers_memory_stays(fake_place, audit):
    namespace, engine, nodes, lab = fake_place
    site = search_site.Site(namespace, "", "", lab, None)
    experiment = _experiment(lab.folder, namespace, engine.port)
    with requests_of(account(namespace), audit) as found:
        started = site.start(experiment)
        memory = _watched(started.process, lab)
        ended = started.wait(30)
    assert ended.code in (0, 3), f"{ended.out}\n{ended.err}"
    made = search_site.trials(search_site.only_run(site))
    assert sorted(line["trial"] for line in made if line["state"] == "complete") == list(range(TRIALS))
    assert nodes.most_at_once >= (PARALLEL if TRIALS >= LONG else 2)
    _judge(found.from_first("create", "deployments"), len(made))
    print(f"{TRIALS} trials in {ended.seconds:.0f} s, at most {nodes.most_at_once} at once; MiB: {memory}")
    if TRIALS >= LONG:
        early = next(size for trials, size in memory if trials >= TRIALS / 5)
        assert memory[-1][1] <= early * FLAT_SHARE, memory


def _experiment(folder: Path, namespace, port: int) -> Path:
    """A wide space, short trials on plain Kubernetes; each pod is the one stand-in engine."""
    spec = {
        "name": "many",
        "model": {"name": "fake", "path": "/models/fake"},
        "deploy": {
            "backend": "kubernetes",
            "namespace": namespace.name,
            "image": "local/none:1",
            "container_port": port,
            "accelerators": 1,
            "endpoint": "pod",
            "stop_seconds": 1,
            "serving_gpu": PARALLEL,
            "pod": {"node_selector": selector(), "tolerations": [toleration()]},
        },
        "parameters": {"size": {"low": 1, "high": max(TRIALS, 2), "flag": "--size"}},
        "baseline": {"size": 1},
        "workload": {
            "scenario": "D(8,8)",
            "request_rate": 4,
            "rounds": 3,
            "round_seconds": 3,
            "warmup_seconds": 0.1,
        },
        "objective": {"maximize": "output_tokens_per_second"},
        "search": {"trials": TRIALS, "parallel": PARALLEL, "sampler": "random", "early_stop": "none"},
        "validation": {"enabled": False},
    }
    path = folder / "many.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return path


def _watched(process, lab) -> list[tuple[int, int]]:
    """(ended trials, MiB of the driver) as the run went on, until it ended."""
    found: list[tuple[int, int]] = []
    deadline = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.5)
        ended = sum(len(path.read_bytes().splitlines()) for path in lab.runs.glob("*/trials.jsonl"))
        if not found or ended >= found[-1][0] + max(1, TRIALS // 20):
            try:
                found.append((ended, psutil.Process(process.pid).memory_info().rss >> 20))
            except psutil.NoSuchProcess:
                break
    assert process.poll() is not None, json.dumps(found)
    return found
