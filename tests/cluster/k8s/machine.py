"""What nodes need of the machine and change on it: bridges, cgroup roots and sysctls; and puts it back."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
from processes import alive, command
from state import ClusterError, Node, State

_CGROUPS = Path("/sys/fs/cgroup")
_SYSCTLS = Path("/proc/sys")
_REMEMBERED = Path("/run/tuner-cluster-sysctls.json")
# The bridge plugin sets the first, kubelets the others.
_CHANGED = (
    "net/ipv4/ip_forward",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


def remember_sysctls() -> None:
    """Note the settings that clusters change, unless one before did, and let pods be routed."""
    if not _REMEMBERED.exists():
        found = {
            name: (_SYSCTLS / name).read_text().strip() for name in _CHANGED if (_SYSCTLS / name).exists()
        }
        _REMEMBERED.write_text(json.dumps(found))
    (_SYSCTLS / "net/ipv4/ip_forward").write_text("1")  # all that pods need to reach the other bridge's


def restore_sysctls() -> None:
    """Put the noted settings back and forget them: for the last cluster on the machine."""
    if _REMEMBERED.exists():
        for name, value in json.loads(_REMEMBERED.read_text()).items():
            (_SYSCTLS / name).write_text(value)
        _REMEMBERED.unlink()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """While clusters come and go, one at a time."""
    with Path("/run/tuner-cluster.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _hierarchies() -> list[Path]:
    """The one of cgroup v2, or each of v1."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS]
    return sorted(path.parent for path in _CGROUPS.glob("*/tasks") if not path.parent.is_symlink())


def make_cgroups(node: Node) -> None:
    """The node's cgroup root in every hierarchy."""
    handed_down = _CGROUPS / "cgroup.subtree_control"
    if handed_down.exists():
        for name in (_CGROUPS / "cgroup.controllers").read_text().split():
            with contextlib.suppress(OSError):  # one that cannot be had here; the kubelet says which it needs
                handed_down.write_text(f"+{name}")
    for hierarchy in _hierarchies():
        root = hierarchy / node.cgroup
        root.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):  # v1: empty ones hold no process
            if (root / name).exists() and hierarchy != _CGROUPS:
                (root / name).write_text((hierarchy / name).read_text())


def cgroups(node: Node) -> list[Path]:
    """The node's cgroup roots that exist."""
    return [root for hierarchy in _hierarchies() if (root := hierarchy / node.cgroup).exists()]


def members(node: Node) -> list[psutil.Process]:
    """The live processes in the node's cgroups: all that its containers run."""
    numbers: set[int] = set()
    for root in cgroups(node):
        for path in root.rglob("cgroup.procs"):
            numbers.update(map(int, path.read_text().split()))
    found = []
    for number in numbers:
        try:
            found.append(psutil.Process(number))
        except psutil.NoSuchProcess:
            continue
    return [process for process in found if alive(process)]


def remove_cgroups(node: Node) -> None:
    """Remove them, deepest first; one that is in use stays."""
    for root in cgroups(node):
        for folder, _, _ in os.walk(root, topdown=False):
            try:
                Path(folder).rmdir()
            except OSError:
                continue


def make_bridge(node: Node) -> None:
    """The network device of the node's pods, with the node's address on it."""
    if not bridge_exists(node):
        hardware = f"02:88:00:00:00:{node.index:02x}"
        command(["ip", "link", "add", node.bridge, "address", hardware, "type", "bridge"])
    command(["ip", "addr", "replace", f"{node.address}/24", "dev", node.bridge])
    command(["ip", "link", "set", node.bridge, "up"])


def bridge_exists(node: Node) -> bool:
    """Whether the node's bridge is there."""
    return Path("/sys/class/net", node.bridge).exists()


def remove_bridge(node: Node) -> None:
    """Remove the bridge with the host's ends of its pods' links."""
    ports = Path("/sys/class/net", node.bridge, "brif")
    links = [port.name for port in ports.iterdir()] if ports.exists() else []
    for link in [*links, node.bridge]:
        try:
            command(["ip", "link", "del", link])
        except ClusterError:  # gone with its pod's namespace, or never there; down looks again
            continue


def mounts(state: State) -> list[str]:
    """What is mounted below the state's folder, outermost first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if point.startswith(f"{state.folder}/")]


def unmount(state: State) -> None:
    """Unmount all of it; lazily where it is in use, and again where mounts lay over one another."""
    for _ in range(3):
        for point in reversed(mounts(state)):
            try:
                command(["umount", point])
            except ClusterError:
                command(["umount", "-l", point])
