"""A cluster leaves the machine as it found it, whatever was killed. Of its own: one cluster a machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
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
    """What a cluster could leave on the machine."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    groups = [path for depth in ("*", "*/*") for path in Path("/sys/fs/cgroup").glob(f"{depth}/")]
    shims = Path("/run/containerd/s")
    return {
        "mounts": sorted(mounts),
        "links": sorted(map(str, Path("/sys/class/net").iterdir())),
        "cgroups": sorted(str(path) for path in groups if "k8s-node" in path.name),
        "sysctls": [Path("/proc/sys", name).read_text() for name in SYSCTLS],
        "processes": sorted(_with_mark(state)),
        "sockets": sorted(map(str, shims.iterdir())) if shims.exists() else [],
        "folder": state.exists(),
    }


def _with_mark(state: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            if str(state).encode() in command + (entry / "environ").read_bytes():
                found.append(command.replace(b"\0", b" ").decode())
        except OSError:
            continue
    return [line for line in found if "reap" not in line]


@pytest.fixture
def state() -> Path:
    """A folder for a cluster of the test's own; pytest's paths are too long for a socket."""
    return Path("/tmp", f"tuner-cluster-{os.getpid()}")


def up(state: Path, *arguments: str) -> client.CoreV1Api:
    started = cluster("up", state, *arguments)
    if started.returncode == 3 or "one cluster a machine" in started.stderr:
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
    for name in ("kubelet1", "containerd2", "apiserver"):
        os.kill(int((state / "log" / f"{name}.pid").read_text()), signal.SIGKILL)
        (state / "log" / f"{name}.pid").unlink()
    ended = cluster("down", state)
    assert ended.returncode == 0, ended.stderr
    assert machine(state) == before


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


def test_a_second_cluster_is_refused_in_one_line(state: Path) -> None:
    up(state)
    try:
        second = cluster("up", state.with_name(f"{state.name}-second"))
        assert second.returncode == 1
        assert second.stderr == f"cluster: one cluster a machine: end the one in {state} first (down)\n"
    finally:
        assert cluster("down", state).returncode == 0
