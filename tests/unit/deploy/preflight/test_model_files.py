"""What the pod that reads the claim lists, and what a person is told of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tuner.deploy.kubernetes.checks import files as checked
from tuner.deploy.kubernetes.checks.files import parsed
from tuner.deploy.kubernetes.checks.reading import reader
from tuner.deploy.kubernetes.preflight import findings
from tuner.deploy.kubernetes.wanted import Demand

SCRIPT = Path(checked.__file__).with_name("list_model.sh").read_text()


@pytest.fixture
def listed(tmp_path):
    """`listed(PLACE, ...)`: what the script itself finds below a folder."""

    def run(*places):
        out = tmp_path / "out"
        script = SCRIPT.replace("/dev/termination-log", str(out))
        command = ["/bin/sh", "-c", script, "list-model", str(tmp_path / "claim"), *places]
        subprocess.run(command, check=True, capture_output=True)
        assert len(out.read_bytes()) < 4096
        return parsed(out.read_text())

    model = tmp_path / "claim" / "meta" / "llama"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(bytes(5000))
    run.model = model
    return run


def test_a_whole_model_is_counted_in_bytes(listed):
    (one,) = listed("meta/llama")
    assert (one.files, one.size_bytes, one.config, one.absent, one.missing) == (2, 5002, True, False, [])


def test_a_place_that_is_not_there_tells_what_is_beside_it(listed):
    here, absent, deeper = listed("meta/llama", "meta/lama", "else/x")
    assert not here.absent
    assert absent.absent
    assert absent.beside == "llama"
    assert deeper.beside == "meta"


def test_files_in_links_and_folders_count_and_dead_links_are_missing(listed):
    (listed.model / "blobs").mkdir()
    (listed.model / "blobs" / "b").write_bytes(bytes(100))
    (listed.model / "linked").symlink_to("blobs/b")
    (listed.model / "dead").symlink_to("blobs/none")
    (one,) = listed("meta/llama")
    assert one.size_bytes == 5002 + 100 + 100
    assert one.missing == ["dead"]
    (listed.model / "model-2.safetensors.incomplete").touch()
    assert listed("meta/llama")[0].missing == ["dead", "model-2.safetensors.incomplete"]


def test_shards_that_the_index_names_have_to_be_there(listed):
    (listed.model / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "model.safetensors",\n "b": "model-2.safetensors", "c": "model-2.safetensors"}}'
    )
    assert listed("meta/llama")[0].missing == ["model-2.safetensors"]


def test_an_empty_folder_and_one_without_a_config_are_told_apart(listed):
    (listed.model / "config.json").unlink()
    (listed.model.parent / "empty").mkdir()
    bare, empty, above = listed("meta/llama", "meta/empty", "meta")
    assert (bare.files, bare.config, bare.whole) == (1, False, "")
    assert empty.files == 0
    assert above.beside == "empty llama"
    (listed.model / "model.gguf").write_bytes(b"GGUF")
    assert listed("meta/llama")[0].whole == "./model.gguf"


@pytest.fixture
def found(cluster, wanted, trial):
    """`found("error")`: the lines of a level; the clock moves on by what is slept."""

    def lines(level, **sections):
        clock = [0.0]
        made = findings(
            cluster,
            wanted(demand=Demand(1, 0, trial, ("m",)), **sections),
            trial,
            now=lambda: clock[0],
            sleep=lambda seconds: clock.__setitem__(0, clock[0] + seconds),
        )
        assert not [key for key in cluster.objects if key[0] == "pods"]  # whatever came of it, it goes
        return [finding.line for finding in made if finding.level == level]

    return lines


@pytest.mark.parametrize(
    ("listing", "line"),
    [
        (
            "place m\nabsent yes\nbeside llama qwen",
            "sub-path m is not in the claim; there is llama qwen; would be right: storage.pvc_subpath of",
        ),
        ("place m\nfiles 0\nbytes 0", "sub-path m holds no file; would be right: the whole download"),
        (
            "place m\nfiles 4\nbytes 10\nconfig yes\nmissing model-2.safetensors",
            "sub-path m is not whole: model-2.safetensors is named there and is not there; would be right",
        ),
        (
            "place m\nfiles 4\nbytes 10\nclosed m/x",
            "the engine's user may not read m/x; would be right: files",
        ),
        ("place m\nfiles 2\nbytes 9\nbeside llama", "and no config.json; there is llama; would be right"),
    ],
)
def test_what_is_wrong_with_the_files_is_one_error_with_its_remedy(cluster, found, listing, line):
    cluster.listing = listing
    (error,) = found("error")
    assert line in error
    assert len(cluster.stored) == 1


def test_sound_files_are_told_with_their_size(found):
    assert any("sub-path m holds config.json and in all 3 files, 2.47 GB" in line for line in found("ok"))


def test_a_container_below_the_checkpoint_is_a_warning_that_says_how_large(found):
    small = {"pod": {"resources": {"limits": {"memory": "2Gi"}}}}
    (line,) = found("warning", deploy=small)
    assert line.startswith("container memory: the container may have 2Gi, and the checkpoint is 2.302Gi")
    assert line.endswith("deploy.pod.resources.limits.memory above 2.302Gi")
    assert found("warning", deploy={"pod": {"resources": {"limits": {"memory": "3Gi"}}}}) == []


def waiting(reason, message=""):
    state = {"waiting": {"reason": reason, "message": message}}
    return {"containerStatuses": [{"name": "reader", "state": state}]}


def test_an_image_that_is_not_pulled_is_an_error_and_one_that_takes_long_a_warning(cluster, found):
    cluster.unread = waiting("ErrImagePull", "engine:1 not found")
    (line,) = found("error")
    assert "a trial's pod would not start: ErrImagePull: engine:1 not found; would be right: an image" in line
    cluster.unread = waiting("ContainerCreating")
    assert found("error") == []
    (line,) = found("warning")
    assert "files in c: not looked at: the pod that reads it did not start in 60 s" in line


def test_a_volume_that_the_node_does_not_mount_is_an_error_and_one_that_a_pod_holds_a_warning(cluster, found):
    cluster.unread = waiting("ContainerCreating")
    cluster.put("events", "e", reason="FailedMount", message="mount.nfs: Connection timed out")
    (line,) = found("error")
    assert (
        "would not start: mount.nfs: Connection timed out; would be right: a volume that the nodes can"
        in line
    )
    cluster.put("events", "e", reason="FailedAttachVolume", message="Multi-Attach error for volume v")
    assert found("error") == []
    assert "not looked at: Multi-Attach error" in found("warning")[0]


def test_an_image_without_a_shell_is_a_warning(cluster, found):
    ended = {"exitCode": 128, "reason": "StartError", "message": 'exec: "/bin/sh": no such file'}
    cluster.unread = {"containerStatuses": [{"name": "reader", "state": {"terminated": ended}}]}
    assert found("error") == []
    assert "the engine's image cannot list it: StartError" in found("warning")[0]


def test_nothing_is_made_where_something_else_is_wrong_or_it_could_not_be_taken_away(cluster, found):
    cluster.forbidden = {("delete", "pods")}
    assert any("right to delete pods" in line for line in found("warning"))
    cluster.forbidden = set()
    del cluster.objects["clusterbasemodels", "tiny"]
    assert found("error")
    assert cluster.stored == []


def test_the_pod_has_the_engines_image_user_and_nodes_and_nothing_of_the_trial():
    spec = {
        "containers": [
            {
                "name": "ome-container",
                "image": "engine:1",
                "args": ["--tp-size", "8"],
                "resources": {"limits": {"nvidia.com/gpu": 8}},
                "securityContext": {"runAsUser": 1000},
                "volumeMounts": [{"name": "tools", "mountPath": "/t"}, {"name": "m", "mountPath": "/m"}],
            }
        ],
        "volumes": [
            {"name": "tools", "emptyDir": {}},
            {"name": "unused", "emptyDir": {}},
            {"name": "m", "persistentVolumeClaim": {"claimName": "c"}},
        ],
        "securityContext": {"fsGroup": 5},
        "nodeSelector": {"pool": "a", "models.ome.io/x": "Ready"},
        "priorityClassName": "low",
        "affinity": {"podAntiAffinity": {}},
        "schedulingGates": [{"name": "g"}],
    }
    made = reader({"spec": spec}, claim="c", places=["m"], nodes=["n1"], gpu="nvidia.com/gpu")["spec"]
    (container,) = made["containers"]
    assert container["image"] == "engine:1"
    assert container["securityContext"] == {"runAsUser": 1000}
    assert made["securityContext"] == {"fsGroup": 5}
    assert made["nodeSelector"] == {"pool": "a"}
    assert {volume["name"] for volume in made["volumes"]} == {"tools", "tuner-reads"}
    assert "nvidia.com/gpu" not in str(container["resources"])
    assert "args" not in container
    assert "schedulingGates" not in made
    assert made["restartPolicy"] == "Never"
