"""Every row of OME's failure table: what was seen of a deployment against what it means."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tuner.deploy.kubernetes.api_errors import AWAY_SECONDS
from tuner.deploy.kubernetes.classify import Course
from tuner.deploy.kubernetes.evidence import NOBODY_SECONDS, SILENCE_SECONDS
from tuner.deploy.kubernetes.outcomes import Deadlines, Ready, Waiting
from tuner.deploy.kubernetes.symptoms import Symptom
from tuner.deploy.kubernetes.watching import Arrived, Seen
from tuner.errors import BackendBroken, ConfigurationRefused, DeployInterrupted, FailureClass

STOP, CONDEMN, RETRY = BackendBroken, ConfigurationRefused, DeployInterrupted
K = FailureClass
MESSAGE = "0/2 nodes are available: {}. preemption: 0/2 nodes are available: 2 No preemption victims."


def service(*, conditions=(), finalizers=("inferenceservice.finalizers",)):
    metadata = {"name": "t", "uid": "isvc", "finalizers": list(finalizers)}
    return {"metadata": metadata, "status": {"conditions": list(conditions)}}


def deployment(refused=""):
    conditions = [{"type": "Progressing", "status": "True"}]
    if refused:
        conditions.append({"type": "ReplicaFailure", "status": "True", "message": refused})
    return {"metadata": {"name": "t-engine", "uid": "d"}, "status": {"conditions": conditions}}


def pod(
    *, node="node1", scheduled=None, state=None, last=None, restarts=0, ready=False, phase="Pending", **more
):
    conditions = [scheduled] if scheduled else []
    if ready:
        conditions.append({"type": "Ready", "status": "True"})
    conditions += more.pop("conditions", [])
    status = {"phase": phase, "conditions": conditions, **more}
    if state is not None:
        one = {"name": "ome-container", "state": state, "lastState": last or {}, "restartCount": restarts}
        status["containerStatuses"] = [one]
    container = {"name": "ome-container", "image": "local/engine:1"}
    spec = {"containers": [container]} | ({"nodeName": node} if node else {})
    return {"metadata": {"name": "t-engine-1", "uid": "p"}, "spec": spec, "status": status}


def unschedulable(*reasons):
    message = MESSAGE.format(", ".join(reasons))
    return pod(
        node="",
        scheduled={"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message},
    )


def waiting(reason, message=""):
    return pod(state={"waiting": {"reason": reason, "message": message}})


def ended(code, reason="Error", **more):
    return {"terminated": {"exitCode": code, "reason": reason, **more}}


RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def event(reason, message, *, about="p", since=0.0):
    return Arrived({"reason": reason, "message": message, "involvedObject": {"uid": about}}, since)


def seen(*pods, events=(), deployments=None, isvc=None, **more):
    return Seen(
        service=isvc or service(conditions=[{"type": "Ready", "status": "False"}]),
        deployments=(deployment(),) if deployments is None else tuple(deployments),
        pods=pods,
        events=tuple(events),
        listed=True,
        **more,
    )


def course(log="", **more):
    return Course(
        service=True,
        container="ome-container",
        deadlines=Deadlines(schedule_seconds=100, image_seconds=50, ready_seconds=20),
        created=0.0,
        log=lambda pod, container, previous: f"{log} previous={previous}" if log else "",
        **more,
    )


def verdict(snapshot, *, after=5.0, log=""):
    """What it comes to when the snapshot has been visible for `after` seconds."""
    looked = course(log)
    looked.look(snapshot, now=0.0)
    return looked.look(snapshot, now=after)


AFFINITY = "2 node(s) didn't match Pod's node affinity/selector"
EXEC = 'failed to create task: exec: "/engine": stat /engine: no such file or directory: unknown'
ROWS = {
    "no node has the model": (seen(unschedulable(AFFINITY)), STOP, K.UNSCHEDULABLE, "no node has the labels"),
    "taints alone": (
        seen(unschedulable("2 node(s) had untolerated taint {gpu: yes}")),
        STOP,
        K.UNSCHEDULABLE,
        "taint",
    ),
    "claim missing": (
        seen(unschedulable('persistentvolumeclaim "models" not found')),
        STOP,
        K.MOUNT,
        "claim models is not there",
    ),
    "webhook dead": (
        seen(deployments=[deployment('failed calling webhook "mount.x": connection refused')]),
        STOP,
        K.ADMISSION_REFUSED,
        "webhook mount.x does not answer",
    ),
    "guard": (
        seen(
            deployments=[
                deployment(
                    "pods \"t\" is forbidden: ValidatingAdmissionPolicy 'ome-pvc-guard' with binding 'x' "
                    "denied request: volume m is still a hostPath"
                )
            ]
        ),
        STOP,
        K.ADMISSION_REFUSED,
        "the pod was refused: volume m is still a hostPath",
    ),
    "pod invalid": (
        seen(
            deployments=[
                deployment('Pod "t" is invalid: spec.containers[0].volumeMounts.subPath: Invalid value')
            ]
        ),
        CONDEMN,
        K.ADMISSION_REFUSED,
        "subPath: Invalid value",
    ),
    "another policy": (
        seen(deployments=[deployment('admission webhook "limits.x" denied the request: memory over 1Ti')]),
        CONDEMN,
        K.ADMISSION_REFUSED,
        "memory over 1Ti",
    ),
    "image": (seen(waiting("ErrImagePull", 'failed to pull "r/e:404"')), RETRY, K.IMAGE, "r/e:404"),
    "image, backing off": (seen(waiting("ImagePullBackOff")), RETRY, K.IMAGE, "ImagePullBackOff"),
    "image name": (seen(waiting("InvalidImageName", "no")), STOP, K.IMAGE, "InvalidImageName"),
    "command not in image": (
        seen(
            pod(
                state={"waiting": {"reason": "CrashLoopBackOff"}}, last=ended(128, "StartError", message=EXEC)
            )
        ),
        CONDEMN,
        K.IMAGE,
        "its command is not in the image",
    ),
    "command not in image, at once": (
        seen(waiting("RunContainerError", EXEC)),
        CONDEMN,
        K.IMAGE,
        "not in the image",
    ),
    "runtime broken": (
        seen(pod(state=ended(128, "StartError", message="nvidia-container-cli: initialization error"))),
        RETRY,
        K.NODE_FAULT,
        "nvidia-container-cli",
    ),
    "subpath missing": (
        seen(waiting("CreateContainerConfigError", 'failed to create subPath directory for volumeMount "m"')),
        RETRY,
        K.MOUNT,
        "subPath",
    ),
    "secret missing": (
        seen(waiting("CreateContainerConfigError", 'secret "token" not found')),
        STOP,
        K.SPEC_REFUSED,
        "token",
    ),
    "volume does not mount": (
        seen(
            waiting("ContainerCreating"), events=[event("FailedMount", "MountVolume.SetUp failed: timeout")]
        ),
        RETRY,
        K.MOUNT,
        "MountVolume.SetUp",
    ),
    "crash": (seen(pod(state=ended(2))), CONDEMN, K.CRASH, "ended with code 2"),
    "crash loop": (
        seen(pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, last=ended(2), restarts=1)),
        CONDEMN,
        K.CRASH,
        "ended with code 2",
    ),
    "crash, started again": (seen(pod(state=RUNNING, last=ended(3), restarts=1)), CONDEMN, K.CRASH, "code 3"),
    "segmentation fault": (seen(pod(state=ended(139))), CONDEMN, K.CRASH, "ended by SIGSEGV"),
    "out of memory": (seen(pod(state=ended(137, "OOMKilled"))), CONDEMN, K.OOM_KILLED, "want of host memory"),
    "killed by somebody": (seen(pod(state=ended(137))), RETRY, K.CRASH, "SIGKILL"),
    "killed by its probe": (
        seen(
            pod(state=RUNNING, last=ended(137), restarts=1),
            events=[event("Killing", "Container e failed liveness probe, will be restarted")],
        ),
        CONDEMN,
        K.NEVER_READY,
        "liveness probe",
    ),
    "evicted": (
        seen(pod(phase="Failed", reason="Evicted", message="low on memory")),
        RETRY,
        K.NODE_FAULT,
        "Evicted",
    ),
    "preempted": (
        seen(
            pod(
                state=RUNNING,
                conditions=[
                    {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
                ],
            )
        ),
        RETRY,
        K.PREEMPTED,
        "PreemptionByScheduler",
    ),
    "runtime missing": (
        seen(
            isvc=service(),
            deployments=(),
            events=[event("RuntimeValidationError", "runtime X not found in namespace N", about="isvc")],
        ),
        STOP,
        K.UNKNOWN_RUNTIME,
        "runtime X not found",
    ),
    "no engine": (
        seen(
            isvc=service(),
            deployments=(),
            events=[event("DeploymentModeError", "engine component is required", about="isvc")],
        ),
        CONDEMN,
        K.SPEC_REFUSED,
        "engine component is required",
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_each_failure_has_its_class_within_five_seconds(row):
    snapshot, error, kind, text = ROWS[row]
    found = verdict(snapshot)
    assert type(found) is error, found
    assert found.failure.kind is kind
    assert text in found.failure.message
    assert "\n" not in found.failure.message


WAITS = {
    "for accelerators": seen(unschedulable("2 Insufficient nvidia.com/gpu")),
    "for accelerators of the nodes that fit": seen(
        unschedulable("1 Insufficient nvidia.com/gpu", "1 node(s) didn't match Pod's node affinity/selector")
    ),
    "for a node to come back": seen(
        unschedulable("2 node(s) had untolerated taint {node.kubernetes.io/not-ready: }")
    ),
    "for a queue": seen(pod(node="", scheduled={"type": "PodScheduled", "reason": "SchedulingGated"})),
    "for a node to be added": seen(unschedulable(AFFINITY), events=[event("TriggeredScaleUp", "1->2")]),
    "for quota": seen(deployments=[deployment('pods "t" is forbidden: exceeded quota: gpus')]),
    "for a claim that was just made": seen(unschedulable("pod has unbound immediate PersistentVolumeClaims")),
    "for its image": seen(waiting("ContainerCreating"), events=[event("Pulling", "x")]),
    "for a secret that is late": seen(
        waiting("ContainerCreating"), events=[event("FailedMount", "failed to sync")]
    ),
    "for a node that the API server tells of the pod": seen(
        waiting("ContainerCreating"),
        events=[event("FailedMount", 'claim "m" is forbidden: User "system:node:node2" cannot get resource')],
    ),
    "for the engine": seen(pod(state=RUNNING)),
    "for OME": seen(isvc=service(finalizers=()), deployments=()),
}


@pytest.mark.parametrize("row", WAITS)
def test_what_may_still_come_up_is_waited_for(row):
    found = verdict(WAITS[row])
    assert isinstance(found, Waiting), found
    assert found.what


def test_harmless_events_and_another_pods_events_mean_nothing():
    noise = [
        event("InternalError", 'Service "t" not found', about="isvc"),
        event("UpdateFailed", "object has been modified", about="isvc"),
        event("FailedGetResourceMetric", "no metrics", about="hpa"),
        event("FailedMount", "of another pod", about="other"),
    ]
    assert isinstance(verdict(seen(waiting("ContainerCreating"), events=noise), after=45), Waiting)


def test_a_refusal_that_passes_is_forgotten():
    looked = course()
    bad = seen(deployments=[deployment('failed calling webhook "m": connection refused')])
    assert isinstance(looked.look(bad, now=0), Waiting)
    assert isinstance(looked.look(seen(pod(state=RUNNING)), now=2), Waiting)
    assert isinstance(looked.look(bad, now=4), Waiting)


def test_silence_is_a_refused_spec_where_ome_has_touched_the_object_and_no_ome_where_it_has_not():
    touched, untouched = (
        seen(isvc=service(), deployments=()),
        seen(isvc=service(finalizers=()), deployments=()),
    )
    looked = course()
    assert isinstance(looked.look(untouched, now=20), Waiting)
    assert isinstance(looked.look(touched, now=25), Waiting)  # a controller with much to do comes to it late
    assert isinstance(looked.look(touched, now=25 + SILENCE_SECONDS - 1), Waiting)
    found = looked.look(touched, now=25 + SILENCE_SECONDS)
    assert isinstance(found, CONDEMN)
    assert found.failure.kind is K.SPEC_REFUSED
    found = verdict(untouched, after=NOBODY_SECONDS)
    assert isinstance(found, STOP)
    assert "running OME controller" in found.failure.message


def test_a_deployment_that_somebody_deletes_on_its_way_up_is_tried_again():
    looked = course()
    assert isinstance(looked.look(seen(pod(state=RUNNING)), now=1), Waiting)
    found = looked.look(Seen(listed=True), now=2)
    assert (type(found), found.failure.kind) == (RETRY, K.NODE_FAULT)


def test_what_is_behind_silence_is_asked_for_early_and_once_more_before_it_is_believed():
    silent = seen(isvc=service(), deployments=())
    answers = [None, Symptom(K.UNKNOWN_MODEL, STOP, "there is no model")]
    looked = course(behind_silence=lambda: answers.pop(0))
    for now in (0, 2, 4, 10):
        assert isinstance(looked.look(silent, now=now), Waiting)
    assert len(answers) == 1
    assert looked.look(silent, now=SILENCE_SECONDS).failure.kind is K.UNKNOWN_MODEL
    early = course(behind_silence=lambda: Symptom(K.UNKNOWN_MODEL, STOP, "there is no model"))
    early.look(silent, now=0)
    assert early.look(silent, now=4).failure.kind is K.UNKNOWN_MODEL


def test_each_phase_has_a_deadline_of_its_own():
    looked = course(log="loading weights")
    full = seen(unschedulable("2 Insufficient nvidia.com/gpu"))
    assert isinstance(looked.look(full, now=99), Waiting)
    assert isinstance(looked.look(seen(waiting("ContainerCreating")), now=101), Waiting)
    assert isinstance(looked.look(seen(waiting("ContainerCreating")), now=150), Waiting)
    assert isinstance(looked.look(seen(pod(state=RUNNING)), now=152), Waiting)
    assert isinstance(looked.look(seen(pod(state=RUNNING)), now=171), Waiting)
    probed = seen(pod(state=RUNNING), events=[event("Unhealthy", "Readiness probe failed: 503")])
    found = looked.look(probed, now=172)
    assert isinstance(found, CONDEMN)
    assert found.failure.kind is K.NEVER_READY
    assert "20 s" in found.failure.message
    assert "503" in found.failure.message
    assert found.failure.log_tail == "loading weights previous=False"


def test_waiting_too_long_for_accelerators_or_an_image_condemns_nothing():
    found = verdict(seen(unschedulable("2 Insufficient nvidia.com/gpu")), after=105)
    assert (type(found), found.failure.kind) == (RETRY, K.UNSCHEDULABLE)
    found = verdict(seen(waiting("ContainerCreating"), events=[event("Pulling", "x")]), after=51)
    assert (type(found), found.failure.kind) == (RETRY, K.IMAGE)
    found = verdict(seen(waiting("ContainerCreating")), after=51)
    assert (type(found), found.failure.kind) == (RETRY, K.NODE_FAULT)


def test_what_no_node_could_ever_hold_is_condemned_at_once():
    asked = []
    looked = course(
        room=lambda pod: asked.append(pod) or "it asks for 16 nvidia.com/gpu, and no node has more than 8"
    )
    found = looked.look(seen(unschedulable("2 Insufficient nvidia.com/gpu")), now=1)
    assert (type(found), found.failure.kind) == (CONDEMN, K.UNSCHEDULABLE)
    assert len(asked) == 1


def test_ready_but_serving_nothing_is_never_ready_with_the_last_answer():
    looked = course()
    ready = seen(pod(state=RUNNING, ready=True))
    assert isinstance(looked.look(ready, now=1), Ready)
    found = looked.look(ready, now=30, answer="HTTP 500 nothing here")
    assert (type(found), found.failure.kind) == (CONDEMN, K.NEVER_READY)
    assert "HTTP 500 nothing here" in found.failure.message


def test_accelerator_memory_is_read_from_the_log_of_the_process_that_ended():
    crashed = seen(pod(state=RUNNING, last=ended(1), restarts=1))
    found = verdict(crashed, log="torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB")
    assert found.failure.kind is K.ACCELERATOR_OOM
    assert found.failure.exit_code == 1
    assert found.failure.log_tail.endswith("previous=True")
    assert verdict(seen(pod(state=ended(1))), log="x").failure.log_tail.endswith("previous=False")


def test_the_parts_of_coming_up_are_told_and_a_new_pod_starts_afresh():
    looked = course()
    looked.look(seen(unschedulable("2 Insufficient nvidia.com/gpu")), now=1)
    looked.look(seen(waiting("ContainerCreating")), now=4)
    looked.look(seen(pod(state=RUNNING)), now=6)
    looked.look(seen(pod(state=RUNNING, ready=True)), now=9)
    assert looked.times(served=9.5) == {"scheduled": 4.0, "started": 2.0, "ready": 3.0, "served": 0.5}
    other = pod(state=RUNNING, ready=True)
    other["metadata"]["uid"] = "q"
    looked.look(seen(other), now=20)
    assert looked.times(served=21) == {"scheduled": 20.0, "started": 0.0, "ready": 0.0, "served": 1.0}


def test_an_api_server_that_stays_away_stops_the_run_and_one_that_comes_back_does_not():
    away = seen(pod(state=RUNNING), away_since=10.0, away_why="API server https://x does not answer: refused")
    assert isinstance(course().look(away, now=11), Waiting)
    found = course().look(away, now=11 + AWAY_SECONDS)
    assert (type(found), found.failure.kind) == (STOP, K.BACKEND_BROKEN)
    assert "does not answer" in found.failure.message


# case -> error, class; None for one that becomes ready, "" for one that waits
RECORDED = {
    "01-hostpath": None,
    "01-hostpath-nolabel": (STOP, K.UNSCHEDULABLE),
    "02-pvc": None,
    "03-deadhook": (STOP, K.ADMISSION_REFUSED),
    "03-nohook": (STOP, K.UNSCHEDULABLE),
    "05-crash": (CONDEMN, K.CRASH),
    "05-crash-msg": (CONDEMN, K.CRASH),
    "05-late-crash": (CONDEMN, K.CRASH),
    "05-late-crash-msg": (CONDEMN, K.CRASH),
    "05-ready-then-dies": None,
    "06-oom": (CONDEMN, K.OOM_KILLED),
    "06-oom-msg": (CONDEMN, K.OOM_KILLED),
    "07-cpu": "",
    "07-gpu": "",
    "08-image": (RETRY, K.IMAGE),
    "08-image-localname": (RETRY, K.IMAGE),
    "09-no-model": (CONDEMN, K.SPEC_REFUSED),  # the backend then asks whether there is the model
    "09-no-pvc": (STOP, K.MOUNT),
    "09-no-runtime": (STOP, K.UNKNOWN_RUNTIME),
    "09-no-subpath": (CONDEMN, K.CRASH),
    "09-no-subpath-ro": (RETRY, K.MOUNT),
    "09-subpath-absolute": (CONDEMN, K.ADMISSION_REFUSED),
    "09-subpath-dotdot": (CONDEMN, K.ADMISSION_REFUSED),
    "09-subpath-rofs-ok": None,
    "10-never-ready": (CONDEMN, K.NEVER_READY),
    "10-slow-ready": None,
    "11-braces": (CONDEMN, K.SPEC_REFUSED),
    "11-no-engine": (CONDEMN, K.SPEC_REFUSED),
    "11-no-name": (CONDEMN, K.SPEC_REFUSED),
    "11-ports": (CONDEMN, K.SPEC_REFUSED),
    "13-name-length-64": (CONDEMN, K.SPEC_REFUSED),
    "16-multinode": (CONDEMN, K.SPEC_REFUSED),
}
OBSERVED = os.environ.get("OME_OBSERVED", "")


def moments(record):
    """(seconds, snapshot) for each change that was recorded, in order."""
    changes = []
    for change in record["inferenceService"]["statusChanges"]:
        changes.append((change["t"], "service", change))
    for each in record["deployments"]:
        changes += [(c["t"], ("deployment", each["metadata"]["name"]), c) for c in each["statusChanges"]]
    specs = {}
    for each in record["pods"]:
        name = each["metadata"]["name"]
        specs[name] = each.get("spec") or specs[next(iter(specs))]
        changes += [(c["t"], ("pod", name), c) for c in each["changes"]]
    objects: dict = {}
    for t, what, change in sorted(changes, key=lambda c: c[0]):
        if change.get("deleted"):
            objects.pop(what, None)
            continue
        if what == "service":
            metadata = {"uid": "isvc", "finalizers": ["inferenceservice.finalizers"]}
            objects[what] = {"metadata": metadata, "status": change.get("status")}
        else:
            spec = dict(specs.get(what[1], {})) | (
                {"nodeName": change["nodeName"]} if change.get("nodeName") else {}
            )
            metadata = {"name": what[1], "uid": what[1]}
            if "deletionTimestamp" in change:
                metadata["deletionTimestamp"] = "then"
            objects[what] = {"metadata": metadata, "spec": spec, "status": change.get("status") or {}}
        yield t, dict(objects)


def replayed(record):
    """The first verdict, with the time at which it was given; looked at each half second."""
    looked = Course(
        service=True,
        container="ome-container",
        deadlines=Deadlines(schedule_seconds=3600, image_seconds=1800, ready_seconds=300),
        created=0.0,
        log=lambda pod, container, previous: "".join(line["text"] for line in record["logs"][:1]),
    )
    steps, now = list(moments(record)), 0.0
    while now < 400:
        past = [objects for t, objects in steps if t <= now]
        objects = past[-1] if past else {}
        about = {f"InferenceService/{record['inferenceService']['metadata']['name']}": "isvc"}
        events = [
            Arrived(
                e | {"involvedObject": {"uid": about.get(e["object"], e["object"].split("/")[1])}}, e["t"]
            )
            for e in record["events"]
            if e["t"] <= now
        ]
        snapshot = Seen(
            service=objects.get("service"),
            deployments=tuple(o for what, o in objects.items() if what[0] == "deployment"),
            pods=tuple(o for what, o in objects.items() if what[0] == "pod"),
            events=tuple(events),
            listed=True,
        )
        found = looked.look(snapshot, now=now)
        if not isinstance(found, Waiting):
            return now, found
        now += 0.5
    return now, found


@pytest.mark.skipif(not OBSERVED, reason="OME_OBSERVED does not name a folder of records")
@pytest.mark.parametrize("case", RECORDED)
def test_the_recorded_cases_of_ome_end_in_their_class(case):
    record = json.loads((Path(OBSERVED) / f"{case}.json").read_text())
    expected = RECORDED[case]
    _, found = replayed(record)
    if expected is None:
        assert isinstance(found, Ready), found
    elif expected == "":
        assert isinstance(found, Waiting)
    else:
        assert (type(found), found.failure.kind) == expected, found
