"""The table of cases that the policy and the webhook both obey: a pod, and what becomes of it.

A case either names the finished pod or the words with which it is refused. Whoever adds a rule to
cluster/admission/policy.yaml, guard.yaml or tuner/webhook adds its cases here.
"""

from __future__ import annotations

from mount_pods import (
    CLAIM,
    HERE,
    MODEL,
    READY,
    SUBPATH,
    THERE,
    Case,
    Json,
    annotations,
    changed,
    claim,
    container,
    empty,
    engine,
    host,
    mount,
    mounted,
    notes_case,
    path_is,
    pod,
    served,
    untouched,
)
from mount_volume_cases import selector_cases, unmounted_cases, volume_cases


def annotation_cases() -> list[Case]:
    """What the annotations may say."""

    def refused(name: str, words: str, **notes: str | None) -> Case:
        return Case(name, pod(engine(), volumes=[host()], notes=annotations(**notes)), refused=words)

    wrong_sub = "ome.io/pvc-subpath must be relative"
    wrong_path = "ome.io/mount-path must be an absolute path"
    return [
        notes_case("subpath and mount path given", THERE, SUBPATH),
        notes_case("no subpath", THERE, "", pvc_subpath=None),
        notes_case("an empty subpath is none", THERE, "", pvc_subpath=""),
        notes_case("no mount path: where OME mounts it", HERE, SUBPATH, mount_path=None),
        notes_case("an empty mount path is none", HERE, SUBPATH, mount_path=""),
        notes_case("a subpath with dots in a name", THERE, "meta/v1..2/x", pvc_subpath="meta/v1..2/x"),
        untouched(
            "hostPath pod without annotations",
            pod(
                engine(), volumes=[host()], notes={"ome.io/base-model-name": MODEL}, selector={READY: "Ready"}
            ),
        ),
        untouched("pod of something else", pod(container("web"), notes={}, labels={})),
        untouched(
            "another storage type",
            pod(engine(), volumes=[host()], notes=annotations(storage_type="hostPath", pvc_name=None)),
        ),
        refused("no claim's name", "annotation ome.io/pvc-name is missing", pvc_name=None),
        refused("an empty claim's name", "annotation ome.io/pvc-name is missing", pvc_name=""),
        refused("a claim without storage type", "ome.io/storage-type is not pvc", storage_type=None),
        refused("a claim with another storage type", "ome.io/storage-type is not pvc", storage_type="PVC"),
        refused("no model's name", "annotation ome.io/base-model-name is missing", base_model_name=None),
        refused("absolute subpath", f'{wrong_sub} and without "..": /meta', pvc_subpath="/meta"),
        refused("subpath leads out", f'{wrong_sub} and without "..": a/../../b', pvc_subpath="a/../../b"),
        refused("relative mount path", wrong_path, mount_path="models"),
        refused("mount path is the root", wrong_path, mount_path="/"),
        refused("mount path leads out", wrong_path, mount_path="/models/../etc"),
        refused("mount path with a colon", wrong_path, mount_path="/models:x"),
        refused("mount path with a dollar", wrong_path, mount_path="/models/$(HOME)"),
        refused("mount path of two lines", wrong_path, mount_path="/models\n/x"),
    ]


def container_cases() -> list[Case]:
    """Which containers are changed, and how."""
    other = {"name": "RT_A", "value": "a"}
    from_map = {
        "name": "MODEL_PATH",
        "valueFrom": {"configMapKeyRef": {"name": "paths", "key": "model"}},
    }
    sidecar = container(
        "logs", mounts=[mount("/scratch", "scratch", read_only=False)], env=[path_is("/other")]
    )
    ours = [mounted()]

    def env(name: str, before: list[Json] | None, after: list[Json]) -> Case:
        return changed(
            name,
            volumes=[host()],
            before=[engine(mounts=[mount()], env=before)],
            after=[engine(mounts=ours, env=after)],
        )

    return [
        changed(
            "init container and sidecar with the mount, a sidecar without",
            volumes=[empty("scratch"), host()],
            init=[container("warm", mounts=ours, env=[path_is(THERE)])],
            before=[engine(), container("agent", mounts=[mount("/m")]), sidecar],
            after=[served(), container("agent", mounts=ours, env=[path_is(THERE)]), sidecar],
        ),
        init_case(),
        env("MODEL_PATH absent", [other], [path_is(THERE), other]),
        env("no variables", None, [path_is(THERE)]),
        env("MODEL_PATH from a ConfigMap", [other, from_map], [other, path_is(THERE)]),
        env(
            "MODEL_PATH twice", [path_is("/a"), other, path_is("/b")], [path_is(THERE), other, path_is(THERE)]
        ),
        env("MODEL_PATH right already", [other, path_is(THERE)], [other, path_is(THERE)]),
        changed(
            "a writable mount becomes read-only",
            volumes=[host()],
            before=[engine(mounts=[mount(read_only=False)], env=[])],
            after=[engine(mounts=ours, env=[path_is(THERE)])],
        ),
        changed(
            "other mounts stay",
            volumes=[empty("shm"), host()],
            before=[engine(mounts=[mount("/dev/shm", "shm", read_only=False), mount()], env=[])],
            after=[engine(mounts=[mount("/dev/shm", "shm", read_only=False), *ours], env=[path_is(THERE)])],
        ),
        many_containers_case(),
        Case(
            "a mount with a subpath of its own",
            pod(engine(mounts=[mount(sub="other")], env=[]), volumes=[host()]),
            refused=f'every mount of claim {CLAIM} must be readOnly with subPath "{SUBPATH}" at {THERE}',
        ),
        Case(
            "the mount path is taken by another mount",
            pod(engine(mounts=[mount(), mount(THERE, "shm")], env=[]), volumes=[host(), empty("shm")]),
            refused="must be unique",
            by_api=True,
        ),
    ]


def init_case() -> Case:
    """The init container is the one that changes."""
    before, after = (
        container("warm", mounts=[mount()]),
        container("warm", mounts=[mounted()], env=[path_is(THERE)]),
    )
    return Case(
        "init container with the mount",
        pod(engine(), volumes=[host()], init=[before]),
        pod(served(), volumes=[claim()], init=[after]),
    )


def many_containers_case() -> Case:
    """As large as pods get: it stays within the cost that the API server grants a policy."""
    names = [f"c{i}" for i in range(10)]
    env = [{"name": f"V{i}", "value": "x" * 40} for i in range(60)]
    volumes = [empty(f"v{i}") for i in range(19)]
    mounts = [mount(f"/v{i}", f"v{i}", read_only=False) for i in range(19)]
    return changed(
        "10 containers with 60 variables and 20 mounts each",
        volumes=[*volumes, host()],
        before=[container(name, mounts=[*mounts, mount()], env=env) for name in names],
        after=[container(name, mounts=[*mounts, mounted()], env=[path_is(THERE), *env]) for name in names],
    )


CASES: tuple[Case, ...] = (
    *annotation_cases(),
    *container_cases(),
    *volume_cases(),
    *unmounted_cases(),
    *selector_cases(),
)
