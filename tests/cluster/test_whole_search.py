"""`python -m tuner.search` on a real cluster: InferenceServices that serve from a claim, to a verdict."""

from __future__ import annotations

import json
import urllib.request
from itertools import pairwise

import pytest
import search_site
import yaml

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def place(ome, mount_admission, new_namespace, admin_api, apply, remove, engine_parts, tmp_path_factory):
    """A site in a namespace where the policy mounts."""
    folder = tmp_path_factory.mktemp("searches")
    with (
        new_namespace("whole", mount="policy", reader=True) as namespace,
        search_site.site(
            namespace, api=admin_api, apply=apply, remove=remove, parts=engine_parts, folder=folder
        ) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def searched(place):
    """The search of six trials, two at a time."""
    ended = place.run(place.experiment())
    assert ended.code == 0, f"{ended.out}\n{ended.err}"
    return ended, search_site.only_run(place, "pvc-small")


def test_every_trial_was_its_own_service_and_both_nodes_served(searched):
    _, run = searched
    lines = search_site.trials(run)
    search = [line for line in lines if line["phase"] == "search"]
    assert len({line["trial"] for line in search}) >= 6
    assert len({line["node"] for line in lines if line["node"]}) == 2
    served = [line for line in lines if line["state"] == "complete"]
    for line in served:
        assert {"scheduled", "started", "ready", "served"} <= set(line["times"])
    first_on_node = {}
    for line in sorted((line for line in lines if line["node"]), key=lambda line: line["started"]):
        first_on_node.setdefault(line["node"], line["cold"])
    assert any(first_on_node.values())


def test_two_ran_at_a_time(searched):
    _, run = searched
    search = [line for line in search_site.trials(run) if line["phase"] == "search"]
    assert any(
        a["started"] < b["started"] < a["ended"] for a in search for b in search if a["trial"] != b["trial"]
    )


def test_a_bad_one_was_stopped_early_and_a_broken_one_taught(searched):
    _, run = searched
    states = {line["state"] for line in search_site.trials(run) if line["phase"] == "search"}
    assert "stopped" in states
    failed = [line for line in search_site.trials(run) if line["state"] == "failed"]
    assert failed and all(line["failure"]["kind"] == "crash" for line in failed)
    assert all(line["failure"]["exit_code"] and line["failure"]["log_tail"] for line in failed)


def test_nothing_carries_the_runs_label_afterwards(searched, place):
    _, run = searched
    assert place.labelled(run.name) == []


def test_best_yaml_serves_as_it_is_with_the_winners_flags(searched, place, apply, remove, until):
    _, run = searched
    best = yaml.safe_load((run / "best.yaml").read_text())
    metadata = best["metadata"]
    assert metadata["name"] == "pvc-small" and "ownerReferences" not in metadata
    assert not any(key.startswith("autotuner.io/") for key in metadata.get("labels", {}))
    apply(run / "best.yaml")
    try:
        pod = until(lambda: _ready_pod(place, "pvc-small"), seconds=90, what="best.yaml serves")
        winner = json.loads((run / "best.json").read_text())["winner"]
        engine = next(c for c in pod.spec.containers if c.name == "ome-container")
        words = [*(engine.command or []), *(engine.args or [])]
        assert set(pairwise(winner["arguments"])) <= set(pairwise(words))
        assert _completion(f"http://{pod.status.pod_ip}:8080")
    finally:
        remove(best)


def _ready_pod(place, service):
    for pod in place.pods(f"ome.io/inferenceservice={service}"):
        ready = {c.type: c.status for c in pod.status.conditions or []}
        if ready.get("Ready") == "True":
            return pod
    return None


def _completion(url):
    body = json.dumps({"prompt": "one two", "max_tokens": 4, "model": "any"}).encode()
    request = urllib.request.Request(f"{url}/v1/completions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["choices"][0]["text"]
