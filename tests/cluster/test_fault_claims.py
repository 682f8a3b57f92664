"""Claims that are not what a trial needs: not bound, of another namespace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from backend_parts import Bench, is_of, refused
from backend_parts import benches as benches  # noqa: PLC0414

from tuner.errors import BackendBroken, FailureClass, TunerError

pytestmark = pytest.mark.cluster
HERE = Path(__file__).parent
GRACE_SECONDS = 30.0  # in which a claim that was made just now is bound


@pytest.fixture(scope="module")
def bench(benches: Any) -> Bench:
    return benches("kubernetes")


@pytest.fixture
def unbound(bench, apply, remove):
    """The name of a claim that no volume fits."""
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "unbound", "namespace": bench.namespace.name},
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "storageClassName": "",
            "resources": {"requests": {"storage": "1Pi"}},
        },
    }
    apply(claim)
    yield "unbound"
    remove(claim)


def with_claim(bench: Bench, name: str) -> Any:
    """A backend whose claim went wrong after preflight had looked."""
    found = bench.backend()
    lacking = bench.unprepared(storage={"pvc_name": name})
    lacking.mount, lacking.kind = found.mount, found.kind
    return lacking


def test_a_claim_that_is_bound_to_no_volume_stops_the_run_and_no_search_starts_on_it(bench, unbound):
    with pytest.raises(TunerError, match=f"claim {unbound}: it is Pending"):
        bench.backend(storage={"pvc_name": unbound})
    error, seconds = refused(with_claim(bench, unbound))
    is_of(error, BackendBroken, FailureClass.MOUNT)
    assert "a claim is not bound to a volume; would be right" in error.failure.message
    assert GRACE_SECONDS < seconds < GRACE_SECONDS + 10


def test_a_claim_of_another_namespace_is_not_there_for_a_trial_and_no_search_starts_on_it(
    bench, new_namespace, apply, remove
):
    with new_namespace("elsewhere") as elsewhere:
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "of-elsewhere", "namespace": elsewhere.name},
            "spec": {
                "accessModes": ["ReadOnlyMany"],
                "storageClassName": "",
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
        apply(claim)
        with pytest.raises(TunerError, match="claim of-elsewhere: "):
            bench.backend(storage={"pvc_name": "of-elsewhere"})
        error, _ = refused(with_claim(bench, "of-elsewhere"))
        is_of(error, BackendBroken, FailureClass.MOUNT)
        right = "would be right: storage.pvc_name of a claim in the trials' namespace"
        assert right in error.failure.message
        remove(claim)
