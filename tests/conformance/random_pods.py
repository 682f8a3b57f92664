"""Pods that nobody thought of: every mixture of volumes, mounts, variables, selectors and annotations."""

from __future__ import annotations

import random
from typing import Any

from mount_pods import (
    CLAIM,
    HERE,
    MODEL,
    READY,
    SUBPATH,
    THERE,
    annotations,
    claim,
    container,
    empty,
    host,
    mount,
    path_is,
    pod,
)

_PATHS = (HERE, THERE, "/opt/ml/model", "/mine", "/x")


def random_pod(seed: int) -> dict[str, Any]:
    """The pod of that seed."""
    rng = random.Random(seed)
    kinds = (
        host(),
        host(),
        host(),
        claim(),
        claim(read_only=False),
        claim(MODEL, "other"),
        empty(MODEL),
        None,
    )
    others = (claim("mine"), claim("mine", read_only=False), empty("shm"), host("shm", "/dev/shm"))
    volumes = [one for one in (rng.choice(kinds), *rng.sample(others, rng.randint(0, 1))) if one]
    rng.shuffle(volumes)
    names = rng.choice(
        (("ome-container",), ("ome-container", "agent"), ("a",), ("a", "b"), ("agent", "ome-container"))
    )
    return pod(
        *(_container(rng, name, volumes) for name in names),
        volumes=volumes or rng.choice((None, [])),
        init=rng.choice((None, None, [_container(rng, "init", volumes)])),
        selector=rng.choice((None, {READY: "Ready"}, {READY: "Ready", "disk": "ssd"}, {"disk": "ssd"})),
        labels=rng.choice(({"component": "engine"}, {"component": "engine"}, {"component": "router"}, {})),
        notes=annotations(
            storage_type=rng.choice(("pvc",) * 9 + (None, "hostPath")),
            pvc_name=rng.choice((CLAIM,) * 9 + (None, "")),
            pvc_subpath=rng.choice((SUBPATH, SUBPATH, None, "", "other")),
            mount_path=rng.choice((THERE, HERE, None, None, "", "/mine")),
            base_model_name=rng.choice((MODEL,) * 9 + ("tiny-3.2", "mine", None)),
        ),
    )


def _container(rng: random.Random, name: str, volumes: list[dict[str, Any]]) -> dict[str, Any]:
    mounted = [one["name"] for one in volumes if rng.random() < 0.7]
    paths = rng.sample(_PATHS, len(mounted))
    mounts = [
        mount(path, volume, sub=rng.choice(("", "", SUBPATH, "other")), read_only=rng.random() < 0.8)
        for volume, path in zip(mounted, paths, strict=True)
    ]
    env = [
        rng.choice((path_is(rng.choice(_PATHS)), path_is("/mine/q4"), {"name": "A", "value": "a"}))
        for _ in range(rng.randint(0, 3))
    ]
    return container(name, mounts=mounts or rng.choice((None, [])), env=env or rng.choice((None, [])))
