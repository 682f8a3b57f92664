"""Credentials and rights that end while a run works: each is one line and condemns nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from backend_parts import Bench, is_of, passes, trial, until
from backend_parts import benches as benches  # noqa: PLC0414
from kubernetes import client
from outages import own_state, signed_token, with_token

from tuner.deploy.kubernetes import api_errors
from tuner.deploy.kubernetes import backend as backend_module
from tuner.deploy.kubernetes.client import Access, Cluster
from tuner.deploy.kubernetes.resources import POD
from tuner.deploy.kubernetes.stream import Expired
from tuner.errors import BackendBroken, FailureClass

pytestmark = pytest.mark.cluster
HERE = Path(__file__).parent
K = FailureClass
YES_IS_KEPT_SECONDS = 10.0  # by the API server, of a token that was good


@pytest.fixture(scope="module")
def bench(benches: Any) -> Bench:
    return benches("kubernetes")


@pytest.fixture
def short(bench, admin_kubeconfig, admin_api, tmp_path):
    """`short(seconds)`: (a backend whose token is good for so long, its kubeconfig)."""
    state, space = own_state(admin_kubeconfig), bench.namespace

    def made(seconds: float):
        token = signed_token(state, admin_api, namespace=space.name, account=space.account, seconds=seconds)
        path = with_token(space.kubeconfig, token, tmp_path / "short.kubeconfig")
        there = bench.backend()
        access = replace(there.cluster.access, kubeconfig=str(path))
        return replace(there, cluster=Cluster(space.name, access=access)), path

    return made


def test_a_token_that_expires_under_a_trial_ends_the_run_in_one_line(bench, short, monkeypatch):
    monkeypatch.setattr(api_errors, "UNKNOWN_SECONDS", 3.0)
    monkeypatch.setattr(backend_module, "_REFUSED_SECONDS", 3.0)
    there, _ = short(25)
    run = trial().run
    told: list[str] = []
    with there.running(run, say=told.append) as working:
        config = trial(1)
        working.deploy(config, probe=passes, progress=lambda line: None, cancel=lambda: False)
        assert working.failure(config.name) is None
        until(lambda: _status(working) == 401, seconds=25 + YES_IS_KEPT_SECONDS + 20)
        found = working.failure(config.name)
        assert found.kind is K.NODE_FAULT  # interrupted: nothing is known of it
        assert "HTTP 401" in found.message and "\n" not in found.message
        with pytest.raises(BackendBroken, match=r"HTTP 401.*credentials that the cluster knows") as seen:
            working.deploy(trial(1, attempt=2), probe=passes, progress=told.append, cancel=lambda: False)
        is_of(seen.value, BackendBroken, K.BACKEND_BROKEN)
    assert any(f"`tuner clean {run}` does it" in line for line in told)
    cleaned = subprocess.run(
        [sys.executable, "-m", "tuner", "clean", run, "--namespace", bench.namespace.name, "--force"],
        env={"KUBECONFIG": str(bench.namespace.kubeconfig), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert cleaned.returncode == 0, cleaned.stderr
    until(lambda: bench.pods(trial(1).name) == [], seconds=60)


def _status(backend: Any) -> int:
    try:
        backend.cluster.list(POD, limit=1)
    except api_errors.ApiRefused as answer:
        return answer.status
    time.sleep(0.2)
    return 200


def test_a_token_that_is_renewed_on_disk_is_taken_up_by_a_run_that_works(bench, short):
    there, path = short(15)
    config = trial(2)
    there.deploy(config, probe=passes, progress=lambda line: None, cancel=lambda: False)
    try:
        time.sleep(15 + YES_IS_KEPT_SECONDS)  # the time is what is tested: a token has its end in it
        path.write_text(Path(bench.namespace.kubeconfig).read_text())
        assert there.failure(config.name) is None
    finally:
        there.delete(config.name)
        until(lambda: there.released(config.name))


def test_a_right_that_is_taken_away_stops_the_run_and_condemns_nothing(bench, admin_api):
    found = bench.backend()
    rights = client.RbacAuthorizationV1Api(admin_api)
    (role,) = rights.list_namespaced_role(bench.namespace.name).items[:1]
    less = [rule for rule in role.to_dict()["rules"] if "deployments" not in (rule["resources"] or ())]
    assert len(less) < len(role.rules)
    body = [{"op": "replace", "path": "/rules", "value": admin_api.sanitize_for_serialization(_rules(less))}]
    rights.patch_namespaced_role(role.metadata.name, bench.namespace.name, body)
    try:
        error = until(lambda: _refusal(found), seconds=30)
        is_of(error, BackendBroken, K.BACKEND_BROKEN)
        assert "HTTP 403" in error.failure.message
        assert "would be right: a Role that allows it (cluster/rbac.yaml)" in error.failure.message
        assert "\n" not in str(error)
    finally:
        body[0]["value"] = admin_api.sanitize_for_serialization(role.rules)
        rights.patch_namespaced_role(role.metadata.name, bench.namespace.name, body)
    until(lambda: found.released(trial(3).name), seconds=60)


def _rules(rules: list[dict[str, Any]]) -> list[client.V1PolicyRule]:
    return [client.V1PolicyRule(**rule) for rule in rules]


def _refusal(backend: Any) -> BackendBroken | None:
    try:
        backend.deploy(trial(3), probe=passes, progress=lambda line: None, cancel=lambda: False)
    except BackendBroken as error:
        return error
    backend.delete(trial(3).name)
    return None


def test_a_watch_from_a_version_that_the_server_has_forgotten_is_told_as_such(bench):
    cluster = Cluster(bench.namespace.name, access=Access(str(bench.namespace.kubeconfig), "", ""))
    with pytest.raises((Expired, api_errors.ApiRefused)) as seen:
        list(cluster.watch(POD, version="1", seconds=2))
    assert isinstance(seen.value, Expired) or seen.value.status == 410
