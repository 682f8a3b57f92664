"""Ends a cluster and leaves nothing of it on the machine, whatever became of whoever started it."""

from __future__ import annotations

import shutil
from pathlib import Path

from machine import (
    bridge_exists,
    cgroups,
    members,
    mounts,
    remove_bridge,
    remove_cgroups,
    restore_sysctls,
    unmount,
)
from processes import end, marked, named, of, wait_until
from state import ClusterError, Node, State

_DEVICE_PLUGINS = "/var/lib/kubelet/device-plugins/"  # fixed in the kubelet
_SHIM_SOCKETS = Path("/run/containerd/s")
_CONTAINER_LOGS = Path("/var/log/containers")


def shut_down(state: State, *, keep: bool) -> None:
    """End it.

    Args:
        keep: leave the state's folder, so that the cluster can be started again with all its objects.

    Raises:
        ClusterError: something is left, and it says what.
    """
    others = [State(folder) for folder in set(marked().values()) if folder != state.folder]
    gave_up_its_slot = any(other.slot == state.slot for other in others)
    nodes = [] if gave_up_its_slot else state.nodes()
    _end_processes(state, nodes)
    unmount(state)
    for node in nodes:
        remove_bridge(node)
        wait_until(lambda node=node: _no_cgroups(node), seconds=5)  # a process leaves its own a little late
        _remove_strays(node)
    if not others:
        restore_sysctls()
    left = remains(state, nodes)
    if left:
        raise ClusterError(f"the cluster in {state.folder} left {', '.join(left)}")
    for path in (state.folder / "log").glob("*.pid"):
        path.unlink()
    if not keep and state.pki.exists():  # a folder that is not a cluster's stays
        shutil.rmtree(state.folder, ignore_errors=True)


def remains(state: State, nodes: list[Node]) -> list[str]:
    """What is on the machine of the cluster, each as a word and a name."""
    return [
        *(f"process {process.pid}" for process in of(state)),
        *(f"mount {point}" for point in mounts(state)),
        *(f"cgroup {path}" for node in nodes for path in cgroups(node)),
        *(f"link {node.bridge}" for node in nodes if bridge_exists(node)),
    ]


def _no_cgroups(node: Node) -> bool:
    remove_cgroups(node)
    return not cgroups(node)


def _end_processes(state: State, nodes: list[Node]) -> None:
    """Kubelets first, since they start containers again; then containers with their shims; then the rest."""
    numbers = [node.number for node in nodes]
    end([process for n in numbers for process in named(state, f"kubelet{n}")], seconds=5)
    containerds = [process for n in numbers for process in named(state, f"containerd{n}")]
    control_plane = [
        process
        for name in ("etcd", "apiserver", "controllers", "scheduler")
        for process in named(state, name)
    ]
    shims = [process for process in of(state) if process not in (*containerds, *control_plane)]
    left = end([process for node in nodes for process in members(node)], seconds=0)
    end(shims, seconds=3)
    end(containerds, seconds=5)
    for name in ("scheduler", "controllers", "apiserver", "etcd"):
        end(named(state, name), seconds=5)
    left += end(of(state), seconds=1)
    if left:
        raise ClusterError(f"processes that do not end: {', '.join(str(process.pid) for process in left)}")


def _remove_strays(node: Node) -> None:
    """Small files that containerd, its plugins and kubelets keep outside of any folder of ours."""
    containerd = node.folder / "containerd"
    for sandbox in (containerd / "root" / "io.containerd.grpc.v1.cri" / "sandboxes").glob("*"):
        for result in Path("/var/lib/cni/results").glob(f"*-{sandbox.name}-*"):
            result.unlink()
    listening = Path("/proc/net/unix").read_text()
    for socket in _SHIM_SOCKETS.glob("*"):  # hashes, and containerd forgets those of shims that were killed
        if str(socket) not in listening:
            socket.unlink(missing_ok=True)
    if _CONTAINER_LOGS.exists():
        for link in _CONTAINER_LOGS.iterdir():
            if link.is_symlink() and link.readlink().is_relative_to(node.state.folder):
                link.unlink()
    if _DEVICE_PLUGINS not in listening:
        Path(_DEVICE_PLUGINS, "kubelet.sock").unlink(missing_ok=True)
