"""A cluster comes up or says why not, and leaves the machine as it found it, whatever was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kubernetes import client, config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

CLUSTER = Path(__file__).parent / "k8s" / "cluster.py"
SYSCTLS = ("net/ipv4/ip_forward", "vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic")


def cluster(verb: str, state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(CLUSTER), verb, "--state", str(state), *arguments],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def machine(state: Path) -> dict[str, object]:
    """What a cluster could leave on the machine; others may be up there."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    groups = [path for depth in ("*", "*/*") for path in Path("/sys/fs/cgroup").glob(f"{depth}/")]
    return {
        "mounts": sorted(mount for mount in mounts if mount.startswith(str(state))),
        "links": sorted(path.name for path in Path("/sys/class/net").glob("cni*")),
        "cgroups": sorted(str(path) for path in groups if "k8s-node" in path.name),
        "sysctls": [Path("/proc/sys", name).read_text() for name in SYSCTLS],
        "processes": sorted(_of(state).values()),
        "folder": state.exists(),
    }


def _of(state: Path) -> dict[int, str]:
    """Command lines of the live processes that name the state, or have it in their environment."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            if str(state).encode() in command + (entry / "environ").read_bytes():
                found[int(entry.name)] = command.replace(b"\0", b" ").decode()
        except OSError:
            continue
    return {number: line for number, line in found.items() if " reap " not in line}


def sockets_of_shims(state: Path) -> list[Path]:
    """Where the containers' shims listen, outside of the state."""
    files = state.glob("node*/containerd/state/io.containerd.runtime.v2.task/k8s.io/*/address")
    return [Path(file.read_text().removeprefix("unix://")) for file in files]


@pytest.fixture
def state() -> Iterator[Path]:
    """A folder for a cluster of the test's own; pytest's paths are too long for a socket."""
    folder = Path("/tmp", f"tuner-cluster-{os.getpid()}")
    yield folder
    cluster("down", folder)


def up(state: Path, *arguments: str) -> client.CoreV1Api:
    started = cluster("up", state, *arguments)
    if started.returncode == 3:
        pytest.skip(started.stderr.strip())
    assert started.returncode == 0, started.stderr
    return client.CoreV1Api(config.new_client_from_config(str(state / "admin.kubeconfig")))


def run_a_pod_on_each_node(core: client.CoreV1Api, until: Callable) -> None:
    for node in ("node1", "node2"):
        container = {"name": "waits", "image": "local/pause:1", "imagePullPolicy": "Never"}
        spec = {"nodeName": node, "containers": [container]}
        core.create_namespaced_pod("default", {"metadata": {"name": f"on-{node}"}, "spec": spec})
    until(
        lambda: [pod.status.phase for pod in core.list_namespaced_pod("default").items] == ["Running"] * 2,
        seconds=60,
        what="a pod runs on each node",
    )


def test_down_leaves_nothing_also_after_its_parts_were_killed(state: Path, until: Callable) -> None:
    before = machine(state)
    run_a_pod_on_each_node(up(state), until)
    assert machine(state) != before
    sockets = sockets_of_shims(state)
    assert sockets
    os.kill(next(number for number, line in _of(state).items() if "containerd-shim" in line), signal.SIGKILL)
    for name in ("kubelet1", "containerd2", "apiserver"):
        os.kill(int((state / "log" / f"{name}.pid").read_text()), signal.SIGKILL)
        (state / "log" / f"{name}.pid").unlink()
    ended = cluster("down", state)
    assert ended.returncode == 0, ended.stderr
    assert machine(state) == before
    assert not [socket for socket in sockets if socket.exists()]


def test_down_with_keep_lets_the_next_up_bring_the_objects_back(state: Path, until: Callable) -> None:
    before = machine(state)
    run_a_pod_on_each_node(up(state), until)
    assert cluster("down", state, "--keep").returncode == 0
    core = up(state)
    assert [pod.metadata.name for pod in core.list_namespaced_pod("default").items] == [
        "on-node1",
        "on-node2",
    ]
    assert cluster("down", state).returncode == 0
    assert machine(state) == before


def test_a_cluster_goes_away_with_its_owner(state: Path, until: Callable) -> None:
    before = machine(state)
    owner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    try:
        run_a_pod_on_each_node(up(state, "--owner", str(owner.pid)), until)
    finally:
        owner.kill()
        owner.wait()
    until(lambda: machine(state) == before, seconds=60, what="the machine is as it was")


def test_where_there_can_be_no_cluster_one_line_says_what_is_missing(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    refused = cluster("up", state)
    assert refused.returncode == 3
    assert refused.stderr.count("\n") == 1
    assert f"KUBEBUILDER_ASSETS={tmp_path} lacks kube-apiserver" in refused.stderr
    assert not state.exists()


def test_a_program_that_does_not_come_up_is_named_with_its_last_words_and_nothing_is_left(
    state: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = machine(state)
    broken = tmp_path / "etcd"
    broken.write_text("#!/bin/sh\necho the disk is on fire\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    refused = cluster("up", state)
    assert refused.returncode == 1
    assert refused.stderr == (
        f"cluster: waited until etcd serves: etcd ended; {state}/log/etcd.log ends: the disk is on fire\n"
    )
    assert machine(state) == before | {"folder": True}  # with the logs
