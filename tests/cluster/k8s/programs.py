"""The Kubernetes programs of a test cluster, built once from the Go module proxy into the user's cache.

Run as `python programs.py`, it prints their folder.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from state import ClusterError, NotHere

VERSION = "1.34.4"  # the last minor version whose kubelet runs on cgroup v1
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")
PAUSE = "pause"
_STAGING = re.compile(r"^\s*(k8s\.io/[\w.-]+)\s+(?:=>\s+\./staging|v0\.0\.0\s)", re.MULTILINE)


def kubernetes_programs() -> Path:
    """The folder of the programs: KUBEBUILDER_ASSETS where set, else the cache, built there if need be.

    They appear there complete or not at all; of several callers at once one builds, the others wait.

    Raises:
        NotHere: an asset is missing, or Go is not there.
        ClusterError: the build failed.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets:
        missing = [name for name in PROGRAMS if not Path(assets, name).exists()]
        if missing:
            raise NotHere(f"KUBEBUILDER_ASSETS={assets} lacks {', '.join(missing)}")
        return Path(assets)
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ray-serving-tuner"
    folder = base / f"kubernetes-{VERSION}"
    if folder.exists():
        return folder
    base.mkdir(parents=True, exist_ok=True)
    with (base / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=base, prefix=f".{folder.name}.") as temporary:
                made = Path(temporary, "programs")
                _build(made, Path(temporary, "module"))
                made.rename(folder)
    return folder


def go_program() -> str | None:
    """The Go command, also where it is installed but not on the PATH."""
    return shutil.which("go") or shutil.which("/usr/local/go/bin/go")


def _build(folder: Path, module: Path) -> None:
    print(f"building Kubernetes {VERSION}, once: about 7 minutes on 2 cores", file=sys.stderr, flush=True)
    folder.mkdir()
    module.mkdir()
    download = _go(module, "mod", "download", "-json", f"k8s.io/kubernetes@v{VERSION}")
    published = Path(json.loads(download)["GoMod"]).read_text()
    (module / "go.mod").write_text(_own_module(published))
    major, minor, _ = VERSION.split(".")
    values = {"gitVersion": f"v{VERSION}", "gitMajor": major, "gitMinor": minor}
    symbols = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items())
    common = ("build", "-mod=mod", "-trimpath", "-ldflags", f"-s -w {symbols}", "-o", f"{folder}{os.sep}")
    _go(module, *common, *(f"k8s.io/kubernetes/cmd/{name}" for name in PROGRAMS))
    build_pause(folder)


def build_pause(folder: Path) -> Path:
    """The static program of a pod's sandbox, built into `folder`.

    Raises:
        ClusterError: as for the others.
    """
    source = Path(__file__).with_name("pause.go")
    arguments = ("build", "-trimpath", "-ldflags=-s -w", "-o", str(folder / PAUSE), str(source))
    _go(folder, *arguments, environment={"CGO_ENABLED": "0"})  # static: the image holds nothing else
    return folder / PAUSE


def _own_module(published: str) -> str:
    """A module that needs Kubernetes with each of its staging modules replaced by that module's release."""
    language = re.search(r"^go .*$", published, re.MULTILINE)
    if language is None:
        raise ClusterError(f"Kubernetes {VERSION}: its go.mod names no version of Go")
    release = "v0." + VERSION.partition(".")[2]
    replaced = [f"\t{name} => {name} {release}" for name in sorted(set(_STAGING.findall(published)))]
    return "\n".join(
        [
            "module build",
            language.group(),
            f"require k8s.io/kubernetes v{VERSION}",
            "replace (",
            *replaced,
            ")",
            "",
        ]
    )


def _go(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> str:
    program = go_program()
    if program is None:
        raise NotHere(
            "the cluster tests need Go, to build Kubernetes (golang.org), or KUBEBUILDER_ASSETS with "
            f"{', '.join(PROGRAMS)}"
        )
    done = subprocess.run(
        [program, *arguments],
        cwd=folder,
        env=os.environ | (environment or {}),
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise ClusterError(f"go {arguments[0]}: exit code {done.returncode}: {last}")
    return done.stdout


if __name__ == "__main__":
    try:
        print(kubernetes_programs())
    except ClusterError as error:
        sys.exit(f"cluster: {error}")
