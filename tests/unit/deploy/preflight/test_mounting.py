"""Which way of mounting is settled on, by what the cluster answers."""

from __future__ import annotations

import pytest

from tuner.deploy.kubernetes.mounting import Settled, settle
from tuner.deploy.kubernetes.wanted import Mount, Way
from tuner.errors import WorldError
from tuner.spec.cluster_checks import SUBPATH

PATH = "/raid/models/tiny"
LABEL = "models.ome.io/clusterbasemodel.tiny"


def lines(cluster, wanted, **places):
    return [f"{n.level}: {n.line}" for n in settle(cluster, wanted, places=places).notes]


def unlabelled(cluster):
    cluster.objects["namespaces", "trials"]["metadata"]["labels"] = {}
    cluster.admit = lambda pod: pod


def model_without_path(cluster, uri="pvc://trials:c/m"):
    cluster.put("clusterbasemodels", "tiny", spec={"storage": {"storageUri": uri}})


def test_no_claim_needs_no_mount(cluster, wanted):
    host = wanted(type="hostPath", pvc_name=None, pvc_subpath=None)
    assert settle(cluster, host, places={}) == Settled(None)


def test_admission_that_acts_is_the_first_choice_and_is_named_by_the_label(cluster, wanted):
    settled = settle(cluster, wanted(), places={})
    assert settled.mount == Mount(Way.POLICY, PATH, annotate=True)
    assert settled.notes[0].line == f"mount of c: by the policy, at {PATH}, shown by a dry run"
    assert "ome-pvc-guard refuses" in settled.notes[1].line
    cluster.objects["namespaces", "trials"]["metadata"]["labels"] = {"autotuner.io/mount": "webhook"}
    assert settle(cluster, wanted(), places={}).mount.way is Way.WEBHOOK


def test_nothing_is_ever_stored(cluster, wanted):
    settle(cluster, wanted(), places={})
    unlabelled(cluster)
    model_without_path(cluster)
    cluster.nodes = [cluster.node("n", **{LABEL: "Ready"})]
    settle(cluster, wanted(), places={})
    assert cluster.stored == []


def test_a_namespace_that_may_not_be_read_leaves_the_name_open(cluster, wanted):
    cluster.forbidden = {("get", "namespaces")}
    assert "by admission, policy or webhook" in lines(cluster, wanted())[0]


def test_without_a_guard_there_is_a_warning(cluster, wanted):
    cluster.admit = cluster.mounting
    warned = lines(cluster, wanted())[1]
    assert warned.startswith("warning: mount of c: nothing guards")
    assert "kubectl apply" in warned


def test_the_path_is_the_persons_then_omes_then_the_default(cluster, wanted):
    def path(**storage):
        return settle(cluster, wanted(**storage), places={}).mount.path

    assert path(mount_path="/m") == "/m"
    assert path() == PATH
    model_without_path(cluster)
    assert settle(cluster, wanted(model={"storage_path": "/of/ome"}), places={}).mount.path == "/of/ome"
    assert path() == "/raid/models/tiny"


def test_a_path_that_had_to_be_guessed_is_said(cluster, wanted):
    cluster.forbidden = {("get", "clusterbasemodels")}
    assert "taken to be /raid/models/tiny" in lines(cluster, wanted())[0]
    unlabelled(cluster)
    cluster.nodes = [cluster.node("n", **{LABEL: "Ready"})]
    assert "taken to be /raid/models/tiny" in lines(cluster, wanted())[0]  # inline in the end


def test_a_refusal_that_is_not_the_guards_does_not_show_the_guard(cluster, wanted):
    def somebody(pod):
        if "ome.io/storage-type" not in pod["metadata"]["annotations"]:
            raise cluster.refused(403, "denied the request: images must be signed")
        return cluster.mounting(pod)

    cluster.admit = somebody
    assert "could not be shown that ome-pvc-guard guards" in lines(cluster, wanted())[1]


@pytest.mark.parametrize("label", ["policy", "webhook"])
@pytest.mark.parametrize("mount", ["auto", "policy", "webhook"])
def test_a_label_behind_which_nothing_acts_is_an_error_with_what_to_apply(cluster, wanted, label, mount):
    cluster.objects["namespaces", "trials"]["metadata"]["labels"] = {"autotuner.io/mount": label}
    cluster.admit = cluster.guarding
    model_without_path(cluster)
    cluster.nodes = [cluster.node("n", **{LABEL: "Ready"})]  # inline would do
    with pytest.raises(
        WorldError, match=f"labelled autotuner.io/mount={label} .*guard refused.*would be right"
    ):
        settle(cluster, wanted(mount=mount), places={})


def test_policy_asked_for_where_nothing_acts_says_the_label_to_set(cluster, wanted):
    unlabelled(cluster)
    with pytest.raises(WorldError, match=r"kubectl label namespace trials autotuner.io/mount=policy"):
        settle(cluster, wanted(mount="policy"), places={})


def test_a_webhook_that_does_not_answer_stops_auto_too(cluster, wanted):
    def dead(pod):
        raise cluster.refused(500, 'Internal error occurred: failed calling webhook "w": connection refused')

    cluster.admit = dead
    for mount in ("auto", "webhook", "policy"):
        with pytest.raises(WorldError, match=r"does not answer.*connection refused"):
            settle(cluster, wanted(mount=mount), places={})


def test_a_claim_mounted_otherwise_than_asked_is_an_error(cluster, wanted):
    def without_subpath(pod):
        mounted = cluster.mounting(pod)
        mounted["spec"]["containers"][0]["volumeMounts"][0].pop("subPath", None)
        return mounted

    cluster.admit = without_subpath
    with pytest.raises(WorldError, match=r"sub-path None; would be right: .* with sub-path m"):
        settle(cluster, wanted(), places={})


@pytest.mark.parametrize(
    "by",
    [
        "ValidatingAdmissionPolicy 'ome-pvc-guard' with binding 'ome-pvc-guard' denied request: ",
        'admission webhook "ome-pvc-mount.autotuner.io" denied the request: ',
    ],
)
def test_annotations_that_are_refused_as_such_are_an_error(cluster, wanted, by):
    def refusing(pod):
        raise cluster.refused(422, f"{by}volume tiny is another claim")

    cluster.admit = refusing
    with pytest.raises(WorldError, match=r"an annotated pod would be wrong: .*volume tiny is another claim"):
        settle(cluster, wanted(), places={})


def test_the_sub_path_of_the_configuration_is_the_one_that_is_shown(cluster, wanted):
    seen = []

    def noting(pod):
        seen.append(pod["metadata"]["annotations"].get("ome.io/pvc-subpath"))
        return cluster.mounting(pod)

    cluster.admit = noting
    settle(cluster, wanted(), places={SUBPATH: "m-fp8"})
    assert seen[0] == "m-fp8"


def test_without_the_right_to_create_pods_what_was_asked_is_taken_and_said(cluster, wanted):
    cluster.forbidden = {("create", "pods")}
    assert settle(cluster, wanted(mount="policy"), places={}).mount.way is Way.POLICY
    assert "not shown" in lines(cluster, wanted())[0]  # auto: the label says so
    unlabelled(cluster)
    with pytest.raises(WorldError, match=r'cannot create resource "pods".*the right to create pods'):
        settle(cluster, wanted(), places={})


def test_auto_takes_native_where_ome_mounts_itself(cluster, wanted):
    unlabelled(cluster)
    model_without_path(cluster)

    def native(model):
        raise cluster.refused(403, "denied the request: pvc:// of a BaseModel must not specify a namespace")

    cluster.admit_model = native
    assert settle(cluster, wanted(), places={}).mount == Mount(Way.NATIVE, "/opt/ml/model", annotate=False)


@pytest.mark.parametrize(
    ("storage", "places", "uri", "reason"),
    [
        ({"mount_path": "/m"}, {}, "pvc://trials:c/m", "at /opt/ml/model, not at /m"),
        ({}, {SUBPATH: "m"}, "pvc://trials:c/m", "is a parameter"),
        ({"pvc_subpath": None}, {}, "pvc://trials:c/", "is not given"),
        ({}, {}, "pvc://c/m", "storageUri: pvc://trials:c/m"),
        ({}, {}, "pvc://trials:other/m", "storageUri: pvc://trials:c/m"),
    ],
)
def test_native_refuses_what_ome_would_mount_elsewhere(cluster, wanted, storage, places, uri, reason):
    unlabelled(cluster)
    model_without_path(cluster, uri)

    def native(model):
        raise cluster.refused(403, "must not specify a namespace")

    cluster.admit_model = native
    with pytest.raises(WorldError, match=reason):
        settle(cluster, wanted(mount="native", **storage), places=places)


def test_native_on_an_ome_that_takes_any_uri_is_an_error(cluster, wanted):
    model_without_path(cluster)
    with pytest.raises(WorldError, match=r"OME does not mount claims by itself.*OME 1\.2"):
        settle(cluster, wanted(mount="native"), places={})


def test_auto_ends_at_inline_with_a_labelled_node_and_no_annotations(cluster, wanted):
    unlabelled(cluster)
    model_without_path(cluster)
    cluster.nodes = [cluster.node("n", **{LABEL: "Ready"})]
    assert settle(cluster, wanted(), places={}).mount == Mount(Way.INLINE, PATH, annotate=False)


def test_inline_is_annotated_where_admission_takes_the_selector_off(cluster, wanted):
    model_without_path(cluster)
    assert settle(cluster, wanted(mount="inline"), places={}).mount == Mount(Way.INLINE, PATH, annotate=True)


def test_inline_is_not_annotated_where_admission_would_mount_the_models_own_volume_as_well(cluster, wanted):
    cluster.nodes = [cluster.node("n", **{LABEL: "Ready"})]
    mount = settle(cluster, wanted(mount="inline", mount_path="/m"), places={}).mount
    assert mount == Mount(Way.INLINE, "/m", annotate=False)


def test_inline_where_ome_mounts_at_the_same_path_is_an_error(cluster, wanted):
    with pytest.raises(WorldError, match=f"storage.path {PATH}, and two mounts at one path"):
        settle(cluster, wanted(mount="inline"), places={})


def test_inline_without_a_labelled_node_says_how_to_label_one(cluster, wanted):
    unlabelled(cluster)
    model_without_path(cluster)
    with pytest.raises(WorldError, match=f"kubectl label node NODE {LABEL}=Ready"):
        settle(cluster, wanted(mount="inline"), places={})
    cluster.forbidden = {("list", "nodes")}
    assert any(
        "the right to list nodes is not given" in line for line in lines(cluster, wanted(mount="inline"))
    )


def test_auto_that_finds_nothing_says_why_not_of_each_way(cluster, wanted):
    unlabelled(cluster)
    with pytest.raises(WorldError) as raised:
        settle(cluster, wanted(), places={})
    for part in ("nothing at admission", "OME does not mount", "two mounts", "autotuner.io/mount=policy"):
        assert part in str(raised.value)
    assert "\n" not in str(raised.value)


def test_external_is_taken_at_its_word(cluster, wanted):
    cluster.admit = pytest.fail
    assert settle(cluster, wanted(mount="external"), places={}).mount == Mount(
        Way.EXTERNAL, PATH, annotate=True
    )


def test_a_plain_deployment_mounts_for_itself(cluster, wanted):
    plain = {"backend": "kubernetes", "runtime": None}
    cluster.admit = pytest.fail
    model = {"storage_path": "/of/ome"}
    mount = settle(cluster, wanted(deploy=plain, model=model), places={}).mount
    assert mount == Mount(Way.INLINE, "/raid/models/tiny", annotate=False)
