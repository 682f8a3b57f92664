"""Makes the images of the test cluster's containers, without a registry and without a builder."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

from node import PAUSE_IMAGE
from programs import PAUSE, build_pause

ENGINE_IMAGE = "local/engine:1"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# Its program and its interpreter are the host's, mounted by whoever makes the pod: engine_pod_parts.py.
_ENGINE = b"""\
#!/bin/sh
exec "$ENGINE_PYTHON" "$ENGINE_PROGRAM" "$@"
"""


def pause_image(folder: Path, programs: Path) -> Path:
    """The archive of what every pod's sandbox runs."""
    folder.mkdir(parents=True, exist_ok=True)
    built = programs / PAUSE
    content = (built if built.exists() else build_pause(folder)).read_bytes()
    return _archive(folder / "pause.tar", PAUSE_IMAGE, f"/{PAUSE}", {PAUSE: content}, ())


def engine_image(folder: Path) -> Path:
    """The archive of an image that is empty but for places to mount the host's programs at, and /engine."""
    folder.mkdir(parents=True, exist_ok=True)
    places = ("bin", "dev", "etc", "lib", "lib64", "proc", "root", "sys", "usr", "var")
    return _archive(folder / "engine.tar", ENGINE_IMAGE, "/engine", {"engine": _ENGINE}, places)


def _archive(
    path: Path, name: str, entrypoint: str, programs: dict[str, bytes], folders: tuple[str, ...]
) -> Path:
    """Write an image as `docker save` would: one layer, a configuration, a manifest."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for folder, mode in [*((folder, 0o755) for folder in folders), ("tmp", 0o1777)]:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        for program, content in programs.items():
            _add(tar, program, content, mode=0o755)
    content = layer.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    configuration = json.dumps(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": [entrypoint], "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{"created_by": "tests"}],
        }
    ).encode()
    configuration_name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    layer_name = f"{digest}/layer.tar"
    manifest = [{"Config": configuration_name, "RepoTags": [name], "Layers": [layer_name]}]
    with tarfile.open(path, "w") as tar:
        _add(tar, configuration_name, configuration)
        _add(tar, layer_name, content)
        _add(tar, "manifest.json", json.dumps(manifest).encode())
    return path


def _add(tar: tarfile.TarFile, name: str, content: bytes, *, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
