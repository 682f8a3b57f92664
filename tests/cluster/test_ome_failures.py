"""The failures that only OME, and mounting at admission, can show."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from backend_parts import benches as benches  # noqa: PLC0414
from backend_parts import is_of, passes, refused, trial, until

from tuner.errors import BackendBroken, ConfigurationRefused, FailureClass

pytestmark = pytest.mark.cluster
STOP, CONDEMN = BackendBroken, ConfigurationRefused
K = FailureClass
VISIBLE_SECONDS = 5.0


@pytest.fixture(scope="module")
def ome_bench(benches):
    return benches("ome")


def test_a_runtime_that_is_not_there_stops_the_run(ome_bench):
    found = ome_bench.backend()
    lacking = ome_bench.unprepared(runtime="no-such-runtime")
    lacking.mount = found.mount
    error, seconds = refused(lacking)
    is_of(error, STOP, K.UNKNOWN_RUNTIME)
    assert "no-such-runtime" in error.failure.message
    assert seconds < VISIBLE_SECONDS + 5  # OME itself may take some


def test_a_model_that_is_not_there_stops_the_run_though_ome_says_nothing(ome_bench):
    found = ome_bench.backend()
    ome_bench.model, kept = "no-such-model", ome_bench.model
    try:
        lacking = ome_bench.unprepared()
    finally:
        ome_bench.model = kept
    lacking.mount, lacking.kind = found.mount, found.kind
    error, seconds = refused(lacking)
    is_of(error, STOP, K.UNKNOWN_MODEL)
    assert seconds < 3 + VISIBLE_SECONDS + 5  # OME itself may take some
    assert "no-such-model" in error.failure.message


def test_a_spec_that_ome_refuses_in_silence_is_condemned(ome_bench):
    found = ome_bench.backend(pod={"annotations": {"note": "fine"}})
    found.wanted = _with_template(found.wanted, "spec: {engine: {minReplicas: 0}}")
    error, _ = refused(found)
    is_of(error, CONDEMN, K.SPEC_REFUSED)


@pytest.mark.skipif(not os.environ.get("OME_CRDS"), reason="the project's own definitions know every field")
def test_a_field_that_the_api_server_does_not_know_is_condemned_at_once(ome_bench):
    found = ome_bench.backend()
    found.wanted = _with_template(found.wanted, "spec: {engine: {runer: {}}}")
    error, seconds = refused(found)
    is_of(error, CONDEMN, K.SPEC_REFUSED)
    assert "runer" in error.failure.message
    assert seconds < VISIBLE_SECONDS


def test_a_namespace_where_only_the_guard_acts_stops_the_run(ome_bench, benches):
    found = ome_bench.backend()
    guarded = benches("ome", mount="external")
    there = guarded.unprepared()
    there.mount, there.kind = found.mount, type(found.kind)()
    error, seconds = refused(there)
    is_of(error, STOP, K.ADMISSION_REFUSED)
    assert guarded.namespace.claim in error.failure.message
    assert seconds < VISIBLE_SECONDS + 1


def test_a_namespace_where_nothing_mounts_is_told_by_the_live_pod(ome_bench, benches):
    found = ome_bench.backend()
    plain = benches("ome", mount=None)
    there = plain.unprepared()
    there.mount, there.kind = found.mount, type(found.kind)()
    error, seconds = refused(there)
    is_of(error, STOP, K.MOUNT)
    assert "is not among its volumes" in error.failure.message
    assert seconds < VISIBLE_SECONDS


def test_the_live_pod_mounts_the_claim_read_only(ome_bench):
    found = ome_bench.backend()
    found.deploy(trial(70), probe=passes, progress=lambda line: None, cancel=lambda: False)
    try:
        (pod,) = ome_bench.pods(trial(70).name)
        assert not any(key.startswith("models.ome.io/") for key in pod.spec.node_selector or {})
        (volume,) = [v for v in pod.spec.volumes if v.persistent_volume_claim]
        assert volume.persistent_volume_claim.read_only
    finally:
        found.delete(trial(70).name)
        until(lambda: found.released(trial(70).name))


def _with_template(wanted: Any, text: str) -> Any:
    head = "apiVersion: ome.io/v1beta1\nkind: InferenceService\n"
    return replace(wanted, template=head + text, base=wanted.base or wanted.template)
