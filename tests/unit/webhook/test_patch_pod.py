"""What `patch_pod` makes of every pod of the table, and that it only ever does what the table says."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from json_patch import applied, stored
from mount_cases import CASES, Case
from mount_pods import annotations, container, engine, host, mount, mounted, path_is, pod
from random_pods import random_pod

from tuner.webhook.contract import PodRefused
from tuner.webhook.patch import patch_pod
from tuner.webhook.recorder import Recorder, pointer

FINISHED = [case for case in CASES if case.finished is not None]
REFUSED = [case for case in CASES if case.finished is None and not case.by_api]


@pytest.mark.parametrize("case", FINISHED, ids=lambda case: case.name)
def test_the_pod_is_as_the_table_has_it(case: Case):
    assert stored(applied(case.pod, patch_pod(case.pod))) == stored(case.finished)


@pytest.mark.parametrize("case", FINISHED, ids=lambda case: case.name)
def test_a_patched_pod_gets_no_second_patch(case: Case):
    assert patch_pod(applied(case.pod, patch_pod(case.pod))) == []


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_the_pod_is_refused_in_one_line_that_says_why(case: Case):
    with pytest.raises(PodRefused) as refused:
        patch_pod(case.pod)
    assert case.refused in str(refused.value)
    assert "\n" not in str(refused.value)


def test_whatever_the_pod_a_patched_one_gets_no_second_patch():
    taken = 0
    for seed in range(1000):
        one = random_pod(seed)
        try:
            patched = applied(one, patch_pod(one))
        except PodRefused:
            continue
        taken += 1
        assert patch_pod(patched) == [], seed
    assert taken > 200


def test_the_pod_that_is_given_is_not_changed():
    for case in CASES:
        before = copy.deepcopy(case.pod)
        if case in FINISHED:
            patch_pod(case.pod)
        assert case.pod == before


def test_a_sidecar_injected_after_the_patch_is_corrected_alone():
    first = pod(engine(), volumes=[host()])
    patched = applied(first, patch_pod(first))
    patched["spec"]["containers"].append(container("late", mounts=[mount("/late")]))
    operations = patch_pod(patched)
    assert {operation["path"].rsplit("/", 1)[0] for operation in operations} == {
        "/spec/containers/1/volumeMounts/0",
        "/spec/containers/1",
        "/spec/containers/1/env",
    }
    assert applied(patched, operations)["spec"]["containers"][1] == container(
        "late", mounts=[mounted()], env=[path_is("/models/served")]
    )


def test_lists_that_are_null_are_empty_ones():
    made = pod({**engine(), "env": None, "volumeMounts": None}, notes=annotations())
    made["spec"].update(volumes=None, initContainers=None, nodeSelector=None)
    made["metadata"]["labels"] = None
    patched = applied(made, patch_pod(made))
    assert patched["spec"]["containers"][0]["volumeMounts"] == [mounted()]
    assert [volume["name"] for volume in patched["spec"]["volumes"]] == ["tiny"]


@given(st.lists(st.text(min_size=1)), st.text())
def test_a_pointer_leads_back_to_its_key(keys: list[str], last: str):
    nested: Any = {last: 1}
    for key in reversed(keys):
        nested = {key: nested}
    recorder = Recorder(nested)
    recorder.put(2, *keys, last)
    assert applied(nested, recorder.operations) == recorder.edited
    assert pointer(*keys, last).count("/") == len(keys) + 1


RECORDS = os.environ.get("OME_OBSERVED", "")


@pytest.mark.skipif(not RECORDS, reason="OME_OBSERVED names no folder of recorded pods")
def test_of_all_recorded_pods_only_the_annotated_one_with_a_hostpath_changes():
    changed, seen = [], 0
    for path in sorted(Path(RECORDS).glob("[01]*.json")):
        for one in json.loads(path.read_text()).get("pods") or []:
            if "containers" in one.get("spec", {}):
                seen += 1
                changed += [path.stem] if patch_pod(one) else []
    assert seen > 50
    assert changed == ["03-nohook"]


@pytest.mark.skipif(not RECORDS, reason="OME_OBSERVED names no folder of recorded pods")
def test_the_recorded_pod_becomes_what_was_recorded_with_a_webhook():
    def one(case: str) -> Any:
        return json.loads((Path(RECORDS) / f"{case}.json").read_text())["pods"][0]

    def told(spec: Any) -> Any:
        kept = [v for v in spec["volumes"] if not v["name"].startswith("kube-api-access")]
        mounts = [m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "tiny-pvc"]
        rest = {k: v for k, v in spec.items() if k not in ("volumes", "containers")}
        engine = {**spec["containers"][0], "volumeMounts": None, "args": None}  # their args differed
        return kept, mounts, engine, stored(rest)

    before = one("03-nohook")
    assert told(applied(before, patch_pod(before))["spec"]) == told(one("02-pvc")["spec"])
