"""One node: a containerd and a kubelet that share the machine with another node's."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import yaml
from certificates import certificate, kubeconfig
from control_plane import Api, is_ready
from machine import make_bridge, make_cgroups
from processes import command, start, wait_for
from state import ACCELERATOR, ClusterError, Node

PAUSE_IMAGE = "local/pause:1"
_PLUGINS = "/usr/lib/cni"


def start_node(node: Node, programs: Path, images: list[Path], *, accelerators: int) -> None:
    """Start it and wait until it takes pods.

    Args:
        programs: the folder of the kubelet.
        images: docker archives that its containers run.
        accelerators: how many the node advertises; no device stands behind them.
    """
    state, folder = node.state, node.folder
    for name in ("cni", "kubelet"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    certificate(
        state,
        f"kubelet{node.number}",
        f"/O=system:nodes/CN=system:node:{node.name}",
        f"DNS:{node.name},IP:127.0.0.1,IP:{node.address}",
    )
    kubelet_kubeconfig = kubeconfig(state, f"kubelet{node.number}", node.name)
    make_bridge(node)
    make_cgroups(node)
    (folder / "cni" / "10-bridge.conflist").write_text(json.dumps(_network(node)))
    (folder / "containerd.toml").write_text(_containerd(node))
    (folder / "kubelet.yaml").write_text(yaml.safe_dump(_kubelet(node)))

    containerd = start(
        state, f"containerd{node.number}", ["containerd", "--config", folder / "containerd.toml"]
    )
    wait_for(
        f"containerd of {node.name} answers",
        lambda: _answers(node),
        seconds=30,
        state=state,
        by=f"containerd{node.number}",
        process=containerd,
    )
    for image in images:
        command(["ctr", "--address", node.socket, "--namespace", "k8s.io", "images", "import", image])
    begun = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    kubelet = start(
        state,
        f"kubelet{node.number}",
        [
            programs / "kubelet",
            f"--config={folder / 'kubelet.yaml'}",
            f"--kubeconfig={kubelet_kubeconfig}",
            f"--root-dir={folder / 'kubelet' / 'root'}",
            f"--cert-dir={folder / 'kubelet' / 'pki'}",
            f"--hostname-override={node.name}",
            f"--node-ip={node.address}",
            f"--tls-cert-file={state.pki / f'kubelet{node.number}.crt'}",
            f"--tls-private-key-file={state.pki / f'kubelet{node.number}.key'}",
            "-v=2",
        ],
    )
    wait_for(
        f"{node.name} is Ready",
        lambda: is_ready(node, since=begun),
        seconds=60,
        state=state,
        by=f"kubelet{node.number}",
        process=kubelet,
    )
    count = {ACCELERATOR: str(accelerators)}
    patch = {"status": {"capacity": count, "allocatable": count}}
    if Api(node.state).send(f"/api/v1/nodes/{node.name}/status", patch=patch) is None:
        raise ClusterError(f"{node.name}: the API server refused its {ACCELERATOR}")


def _answers(node: Node) -> bool:
    try:
        command(["ctr", "--address", node.socket, "version"])
    except ClusterError:
        return False
    return True


def _network(node: Node) -> dict[str, Any]:
    addresses = {
        "type": "host-local",
        "dataDir": str(node.folder / "cni" / "addresses"),
        "ranges": [[{"subnet": node.subnet}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {
        "type": "bridge",
        "bridge": node.bridge,
        "isGateway": True,
        "ipMasq": False,  # the host reaches pods by their address; nothing else has to
        "hairpinMode": True,
        "ipam": addresses,
    }
    return {"cniVersion": "0.4.0", "name": node.name, "plugins": [bridge]}


def _containerd(node: Node) -> str:
    folder = node.folder / "containerd"
    return f"""\
version = 2
root = "{folder / "root"}"
state = "{folder / "state"}"
[grpc]
  address = "{node.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder / "opt"}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true  # where the kernel does not let it be lowered
  netns_mounts_under_state_dir = true  # all mounts in one folder, for down
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{_PLUGINS}"
    conf_dir = "{node.folder / "cni"}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "{folder / "runc"}"
"""


def _kubelet(node: Node) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(node.state.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "port": node.kubelet_port,
        "healthzPort": 0,
        "readOnlyPort": 0,
        "containerRuntimeEndpoint": f"unix://{node.socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.cgroup}",
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "evictionHard": {
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "memory.available": "50Mi",
        },
        "imageGCHighThresholdPercent": 100,  # an image that is collected cannot be had again
        "localStorageCapacityIsolation": False,
        "makeIPTablesUtilChains": False,
        "resolvConf": "",
        "clusterDNS": [],
        "podLogsDir": str(node.folder / "kubelet" / "logs"),  # a kubelet removes logs that it does not know
        "volumePluginDir": str(node.folder / "kubelet" / "plugins"),
        "staticPodPath": "",
    }
