"""Cases by what the model's volume is, where it is mounted nowhere, and by the node selector."""

from __future__ import annotations

from mount_pods import (
    CLAIM,
    MODEL,
    READY,
    SUBPATH,
    THERE,
    Case,
    Json,
    annotations,
    claim,
    container,
    empty,
    engine,
    host,
    mount,
    mounted,
    path_is,
    pod,
    served,
    untouched,
)


def volume_cases() -> list[Case]:
    """What the volume named after the model is."""
    other = engine(mounts=[mounted("/mine", "mine")], env=[path_is("/mine")])
    inline = annotations(mount_path=None)
    not_ours = f"volume {MODEL} is neither a hostPath nor claim {CLAIM}"
    return [
        untouched("finished already", pod(served(), volumes=[claim()])),
        Case(
            "native mount of the same claim and subpath, elsewhere",
            pod(engine(mounts=[mounted("/opt/ml/model")], env=[path_is("/opt/ml/model")]), volumes=[claim()]),
            pod(served(), volumes=[claim()]),
        ),
        untouched(
            "native mount, no mount path asked",
            pod(served("/opt/ml/model"), volumes=[claim()], notes=inline),
        ),
        Case(
            "the claim under the model's name, writable",
            pod(engine(), volumes=[claim(read_only=False)]),
            pod(served(), volumes=[claim()]),
        ),
        Case("an emptyDir under the model's name", pod(engine(), volumes=[empty(MODEL)]), refused=not_ours),
        Case(
            "another claim under the model's name",
            pod(engine(), volumes=[claim(MODEL, "b")]),
            refused=not_ours,
        ),
        Case(
            "another claim under the model's name, ours beside it",
            pod(other, volumes=[claim(MODEL, "b"), claim("mine")], notes=inline),
            refused=not_ours,
        ),
        untouched(
            "claim mounted inline under another name", pod(other, volumes=[claim("mine")], notes=inline)
        ),
        Case(
            "claim mounted inline, with the model's selector",
            pod(other, volumes=[claim("mine")], notes=inline, selector={READY: "Ready", "disk": "ssd"}),
            pod(other, volumes=[claim("mine")], notes=inline, selector={"disk": "ssd"}),
        ),
        Case(
            "claim mounted inline, the model's hostPath beside it",
            pod(other, volumes=[host(), claim("mine")], notes=inline),
            pod(other, volumes=[claim(), claim("mine")], notes=inline),
        ),
        Case(
            "claim mounted inline, elsewhere than asked",
            pod(other, volumes=[claim("mine")]),
            refused=f'must be readOnly with subPath "{SUBPATH}" at {THERE}',
        ),
        Case(
            "claim mounted inline, without the subpath",
            pod(engine(mounts=[mount("/mine", "mine")], env=[]), volumes=[claim("mine")], notes=inline),
            refused=f'must be readOnly with subPath "{SUBPATH}"',
        ),
        Case(
            "claim mounted inline, the mount writable",
            pod(
                engine(mounts=[mount("/mine", "mine", sub=SUBPATH, read_only=False)], env=[]),
                volumes=[claim("mine")],
                notes=inline,
            ),
            refused=f'must be readOnly with subPath "{SUBPATH}"',
        ),
        Case(
            "claim mounted inline, at a subpath made of variables",
            pod(
                engine(mounts=[{**mount("/mine", "mine"), "subPathExpr": "x"}], env=[]),
                volumes=[claim("mine")],
                notes=annotations(mount_path=None, pvc_subpath=None),
            ),
            refused='must be readOnly with subPath ""',
        ),
        Case(
            "claim mounted inline, writable",
            pod(other, volumes=[claim("mine", read_only=False)], notes=inline),
            refused=f"claim {CLAIM} must be readOnly in volumes: mine",
        ),
        Case(
            "claim mounted inline, MODEL_PATH elsewhere",
            pod(
                engine(mounts=[mounted("/mine", "mine")], env=[path_is("/minefield")]),
                volumes=[claim("mine")],
                notes=inline,
            ),
            refused="MODEL_PATH points outside the mounted claim",
        ),
        untouched(
            "claim mounted inline, MODEL_PATH within",
            pod(
                engine(mounts=[mounted("/mine", "mine")], env=[path_is("/mine/q4")]),
                volumes=[claim("mine")],
                notes=inline,
            ),
        ),
        Case(
            "claim mounted inline, in the sidecar only",
            pod(
                engine(mounts=[], env=[]),
                container("agent", mounts=[mounted("/mine", "mine")]),
                volumes=[claim("mine")],
                notes=inline,
            ),
            refused=f"claim {CLAIM} is not mounted in the engine container",
        ),
    ]


def unmounted_cases() -> list[Case]:
    """Pods that mount the model nowhere, or have no volume for it."""
    path = f"/raid/models/{MODEL}"
    nowhere = annotations(mount_path=None)
    dotted = annotations(base_model_name="tiny-3.2", mount_path=None)
    dotted_path = "/raid/models/tiny-3.2"
    bare, router = engine(env=[], mounts=[]), {"component": "router"}
    dotted_engine = engine(
        mounts=[mounted(dotted_path, "ome-model")],
        env=[path_is(dotted_path)],
    )
    return [
        Case(
            "no volume, no mount path: the usual folder",
            pod(bare, volumes=[], notes=nowhere),
            pod(served(path), volumes=[claim()], notes=nowhere),
        ),
        Case("no volume, a mount path", pod(bare), pod(served(), volumes=[claim()])),
        Case(
            "no volume, other volumes and variables",
            pod(
                engine(mounts=[mount("/dev/shm", "shm")], env=[{"name": "A", "value": "a"}]),
                container("agent"),
                volumes=[empty("shm")],
            ),
            pod(
                engine(
                    mounts=[mount("/dev/shm", "shm"), mounted()],
                    env=[path_is(THERE), {"name": "A", "value": "a"}],
                ),
                container("agent"),
                volumes=[empty("shm"), claim()],
            ),
        ),
        Case(
            "dots in the model's name",
            pod(bare, notes=dotted),
            pod(dotted_engine, volumes=[claim("ome-model")], notes=dotted),
        ),
        untouched(
            "dots in the model's name, finished already",
            pod(dotted_engine, volumes=[claim("ome-model")], notes=dotted),
        ),
        Case(
            "no container of OME's name: every one",
            pod(container("a"), container("b", env=[]), init=[container("i")]),
            pod(
                *(container(name, mounts=[mounted()], env=[path_is(THERE)]) for name in "ab"),
                volumes=[claim()],
                init=[container("i")],
            ),
        ),
        Case(
            "hostPath volume mounted nowhere: at its own path",
            pod(bare, volumes=[host(path="/disk/tiny")], notes=nowhere),
            pod(served("/disk/tiny"), volumes=[claim()], notes=nowhere),
        ),
        Case(
            "claim as a volume of another name, mounted nowhere",
            pod(bare, volumes=[claim("mine")]),
            pod(served(), volumes=[claim("mine"), claim()]),
        ),
        Case(
            "router: its volume and selector, no mount",
            pod(container("router"), volumes=[host()], labels=router, selector={READY: "Ready"}),
            pod(container("router"), volumes=[claim()], labels=router),
        ),
        untouched("router without a volume", pod(container("router"), labels=router)),
    ]


def selector_cases() -> list[Case]:
    """Which keys of the node selector go."""

    def selector(name: str, before: Json, after: Json | None, *, by_api: bool = False) -> Case:
        return Case(
            name,
            pod(engine(), volumes=[host()], selector=before),
            pod(served(), volumes=[claim()], selector=after),
            by_api=by_api,
        )

    usual = {"kubernetes.io/os": "linux", "ome.io/pool": "a"}
    return [
        selector("the model's selector alone", {READY: "Ready"}, None),
        selector("several of the model's", {READY: "Ready", "models.ome.io/basemodel.x": "Ready"}, None),
        selector(
            "keys to escape",
            {"models.ome.io/a~b/c": "Ready", "models.ome.io/a~1b": "Ready"},
            None,
            by_api=True,
        ),
        selector("others stay", {READY: "Ready", **usual}, usual),
        selector("only others", usual, usual),
    ]
