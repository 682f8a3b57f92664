"""A live pod against what is wanted of its mount."""

from __future__ import annotations

import copy

import pytest

from tuner.deploy.kubernetes.live_mount import wrong_mount
from tuner.deploy.kubernetes.wanted import Mount, Way
from tuner.spec.model import Storage

STORAGE = Storage(type="pvc", pvc_name="models", pvc_subpath="meta/tiny", mount_path="/raid/tiny")
MOUNT = Mount(Way.POLICY, "/raid/tiny", annotate=True)
GOOD = {
    "metadata": {"name": "t-1", "uid": "p"},
    "spec": {
        "volumes": [
            {"name": "tiny", "persistentVolumeClaim": {"claimName": "models", "readOnly": True}},
            {"name": "kube-api-access-x", "projected": {}},
        ],
        "containers": [
            {"name": "sidecar"},
            {
                "name": "ome-container",
                "env": [{"name": "MODEL_PATH", "value": "/raid/tiny"}],
                "volumeMounts": [
                    {"name": "tiny", "mountPath": "/raid/tiny", "subPath": "meta/tiny", "readOnly": True}
                ],
            },
        ],
        "nodeSelector": {"kubernetes.io/os": "linux"},
    },
}


def looked(pod=GOOD, *, storage=STORAGE, subpath="meta/tiny", mount=MOUNT):
    return wrong_mount(pod, storage=storage, subpath=subpath, mount=mount, container="ome-container")


def changed(change):
    pod = copy.deepcopy(GOOD)
    change(pod["spec"], pod["spec"]["containers"][1])
    return pod


def test_the_right_claim_read_only_at_its_place_is_right():
    assert looked() == ""
    inside = changed(lambda spec, engine: engine["env"][0].update(value="/raid/tiny/model.gguf"))
    assert looked(inside) == ""
    assert looked(changed(lambda spec, engine: engine.pop("env"))) == ""


WRONG = {
    "is not among its volumes (tiny: hostPath)": lambda spec, engine: spec.update(
        volumes=[{"name": "tiny", "hostPath": {"path": "/raid/tiny"}}]
    ),
    "is not among its volumes (tiny: persistentVolumeClaim other": lambda spec, engine: spec["volumes"][0][
        "persistentVolumeClaim"
    ].update(claimName="other"),
    "volume tiny is writable": lambda spec, engine: spec["volumes"][0]["persistentVolumeClaim"].pop(
        "readOnly"
    ),
    "the mount at /raid/tiny is writable": lambda spec, engine: engine["volumeMounts"][0].pop("readOnly"),
    "has sub-path None": lambda spec, engine: engine["volumeMounts"][0].pop("subPath"),
    "has sub-path '$(X)'": lambda spec, engine: engine["volumeMounts"][0].update(subPathExpr="$(X)"),
    "at /elsewhere": lambda spec, engine: engine["volumeMounts"][0].update(mountPath="/elsewhere"),
    "in ome-container at nowhere": lambda spec, engine: engine.pop("volumeMounts"),
    "MODEL_PATH is /other": lambda spec, engine: engine["env"][0].update(value="/other"),
    "MODEL_PATH is /raid/tiny2": lambda spec, engine: engine["env"][0].update(value="/raid/tiny2"),
    "models.ome.io/clusterbasemodel.tiny": lambda spec, engine: spec.update(
        nodeSelector={"models.ome.io/clusterbasemodel.tiny": "Ready"}
    ),
}


@pytest.mark.parametrize("text", WRONG)
def test_each_way_of_being_wrong_is_told_with_what_would_be_right(text):
    found = looked(changed(WRONG[text]))
    assert text in found
    assert "would be right: claim models read-only at /raid/tiny with sub-path meta/tiny" in found


def test_a_trial_may_have_a_sub_path_of_its_own():
    assert "has sub-path 'meta/tiny'" in looked(subpath="meta/tiny-fp8")


def test_the_models_label_is_only_wrong_where_admission_is_to_drop_it():
    labelled = changed(WRONG["models.ome.io/clusterbasemodel.tiny"])
    assert looked(labelled, mount=Mount(Way.INLINE, "/raid/tiny", annotate=False)) == ""


def test_a_model_that_is_to_come_from_the_node_may_not_come_from_a_claim():
    storage = Storage(type="hostPath")
    assert "comes from claim models" in looked(storage=storage, mount=None)
    on_node = changed(WRONG["is not among its volumes (tiny: hostPath)"])
    assert looked(on_node, storage=storage, mount=None) == ""
    beside = changed(
        lambda spec, engine: engine["volumeMounts"][0].update(mountPath="/cache")  # a claim of something else
    )
    assert looked(beside, storage=None, mount=None) == ""
