"""The Debian packages of a test cluster: installed where that is possible, else named in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from state import ClusterError, NotHere

# What each package is known by on a machine of any kind.
_PROVIDES = {
    "etcd-server": "etcd",
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "iproute2": "ip",
    "openssl": "openssl",
}
_POLICY = Path("/usr/sbin/policy-rc.d")  # asked by package scripts before they start a service


def missing_packages() -> list[str]:
    """Those whose program is not there."""
    return [package for package, program in _PROVIDES.items() if not shutil.which(program)]


def install_packages() -> None:
    """Install what is missing, without starting its services.

    Raises:
        NotHere: it cannot be installed here; it says what is missing.
        ClusterError: installing it failed.
    """
    missing = missing_packages()
    if not missing:
        return
    what = f"the cluster tests need the Debian packages {' '.join(missing)}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise NotHere(f"{what}: apt-get install them")
    own_policy = not _POLICY.exists()
    if own_policy:
        _POLICY.write_text("#!/bin/sh\nexit 101\n")
        _POLICY.chmod(0o755)
    try:
        install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *missing]
        done = _run(install)
        if done.returncode:  # an old index names versions that are gone
            _run(["apt-get", "update", "--quiet"])
            done = _run(install)
    finally:
        if own_policy:
            _POLICY.unlink()
    if done.returncode or missing_packages():
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise ClusterError(f"{what}, and apt-get could not install them: {last}")


def _run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
    )
