"""The four annotations of the storage contract, as the seed writes them."""

import pytest

from tuner.errors import SpecError
from tuner.spec import Storage
from tuner.spec.annotations import CONTRACT, annotations

OME = 'deploy: {backend: ome, runtime: sglang}\nparameters: {a: {values: ["1", "2"]}}\n'
MODEL = "model={name: llama}"


def test_all_four():
    storage = Storage(
        type="pvc", pvc_name="model-storage-pvc", pvc_subpath="meta/llama", mount_path="/raid/m"
    )
    assert annotations(storage) == {
        "ome.io/storage-type": "pvc",
        "ome.io/pvc-name": "model-storage-pvc",
        "ome.io/pvc-subpath": "meta/llama",
        "ome.io/mount-path": "/raid/m",
    }
    assert tuple(annotations(storage)) == CONTRACT


def test_what_is_left_out_is_not_written():
    assert annotations(Storage(type="pvc", pvc_name="p")) == {
        "ome.io/storage-type": "pvc",
        "ome.io/pvc-name": "p",
    }


def test_a_host_path_and_no_storage_have_none():
    assert annotations(Storage(type="hostPath")) == {}
    assert annotations(None) == {}


def test_a_subpath_of_the_trials_own_takes_the_storages_place():
    storage = Storage(type="pvc", pvc_name="p", pvc_subpath="a")
    assert annotations(storage, pvc_subpath="b")["ome.io/pvc-subpath"] == "b"
    assert annotations(storage, pvc_subpath=None)["ome.io/pvc-subpath"] == "a"


def test_the_subpath_may_be_a_parameter(sections):
    text = OME + "storage: {type: pvc, pvc_name: p, pvc_subpath: a}\n"
    space = sections(text, MODEL, "parameters.a.place=storage.pvc_subpath").space
    assert space.places({"a": "2"}) == {"storage.pvc_subpath": "2"}
    assert space.arguments({"a": "2"}) == ()


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (
            ["parameters.a={values: [x, ../y], place: storage.pvc_subpath}"],
            "parameters.a.values[1]: got '../y'; would be right: a relative path without .., such as y",
        ),
        (
            ["parameters.a={values: [1, 2], place: storage.pvc_subpath}"],
            "parameters.a.values[0]: got 1; would be right: a relative path",
        ),
        (
            ["parameters.a.place=storage.pvc_name"],
            "parameters.a.place: got 'storage.pvc_name'; would be right: storage.pvc_subpath, deploy",
        ),
        (
            ["parameters.a.place=storage.pvc_subpath", "storage={type: hostPath}"],
            "parameters.a.place: got storage.pvc_subpath; would be right: storage: {type: pvc, ...}",
        ),
    ],
)
def test_a_place_that_cannot_be_filled_is_refused_when_the_file_is_read(sections, sets, said):
    with pytest.raises(SpecError) as caught:
        sections(OME + "storage: {type: pvc, pvc_name: p}\n", MODEL, *sets)
    assert said in str(caught.value)


def test_another_place_is_for_a_template_of_ones_own(sections):
    text = OME + "storage: {type: pvc, pvc_name: p}\n"
    sets = ("parameters.a.place=engine.profile", "deploy.template=own.yaml.j2")
    assert sections(text, MODEL, *sets).space.places({"a": "1"}) == {"engine.profile": "1"}
