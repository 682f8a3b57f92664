"""What mounts the claim goes away while trials are made: a webhook that is down, a policy that is deleted."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from admission_parts import Pods, certificates, configured, install_policies
from backend_parts import benches as benches  # noqa: PLC0414
from backend_parts import is_of, passes, refused, trial, until
from kubernetes import client

from tuner.errors import BackendBroken, FailureClass, TunerError
from tuner.webhook.certs_files import write_certificates

pytestmark = pytest.mark.cluster
HERE = Path(__file__).parent
STOP = BackendBroken
K = FailureClass


@pytest.fixture(scope="module")
def bench(benches: Any) -> Any:
    return benches("ome")


def test_a_webhook_that_is_down_stops_the_run_and_condemns_nothing(bench, benches, admin_api, tmp_path):
    write_certificates(tmp_path, certificates())
    hooked = benches("ome", mount="webhook")
    there, found = hooked.unprepared(), bench.backend()
    there.mount, there.kind = found.mount, type(found.kind)()  # as preflight left them
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with configured(Pods(admin_api, hooked.namespace.name), tmp_path, port=port):
        error, seconds = refused(there)
    is_of(error, STOP, K.ADMISSION_REFUSED)
    assert "admission webhook" in error.failure.message and "does not answer" in error.failure.message
    assert seconds < 20


def test_a_policy_that_is_deleted_between_two_trials_stops_the_run_at_the_second(bench, admin_api, apply):
    found = bench.backend()
    first = trial(1)
    found.deploy(first, probe=passes, progress=lambda line: None, cancel=lambda: False)
    try:
        _delete_policy(admin_api)
        error = until(lambda: _refusal(found), seconds=60)  # the API server acts on it a little later
        is_of(error, STOP, K.ADMISSION_REFUSED)
        assert bench.namespace.claim in error.failure.message
        assert found.failure(first.name) is None  # what runs is not touched by it
    finally:
        install_policies(admin_api, apply)
        found.delete(first.name)
        until(lambda: found.released(first.name))
        until(lambda: _acts(bench), seconds=60)


def _delete_policy(api: client.ApiClient) -> None:
    for group in (client.AdmissionregistrationV1Api, client.AdmissionregistrationV1beta1Api):
        try:
            bindings = group(api).list_mutating_admission_policy_binding().items
        except (client.ApiException, AttributeError):
            continue
        for binding in bindings:
            if binding.spec.policy_name.startswith("ome-pvc"):
                group(api).delete_mutating_admission_policy_binding(binding.metadata.name)
                return
    raise AssertionError("there is no policy to delete")


def _refusal(backend: Any) -> Any:
    """Why a second trial does not come up; None where it still does."""
    config = trial(2)
    try:
        backend.deploy(config, probe=passes, progress=lambda line: None, cancel=lambda: False)
    except TunerError as error:
        return error
    finally:
        backend.delete(config.name)
        until(lambda: backend.released(config.name))
    return None


def _acts(bench: Any) -> bool:
    try:
        bench.backend()
    except TunerError:
        return False
    return True
