"""Where a test cluster keeps its files, and the figures that keep its parts and its nodes apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MARK = "K8S_STATE"  # in the environment of all that a cluster starts; its value is the state's folder
API_PORT = 16443
ETCD_PORT = 12379
ACCELERATOR = "nvidia.com/gpu"


class ClusterError(Exception):
    """One line for a person: what did not come up or go away, and where to look."""


class NotHere(ClusterError):
    """This machine cannot have a cluster before something is installed: a reason to skip, not to fail."""


@dataclass(frozen=True, slots=True)
class State:
    """The folder of one cluster; its path is short, since sockets lie in it."""

    folder: Path

    @classmethod
    def at(cls, folder: Path | str) -> State:
        """The state in `folder`, which need not exist yet; links are followed, as the mark is compared."""
        return cls(Path(folder).resolve())

    @property
    def kubeconfig(self) -> Path:
        """The administrator's; it exists once the cluster was up."""
        return self.folder / "admin.kubeconfig"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.folder / "pki"

    @property
    def owner(self) -> Path:
        """The id of the process that the cluster ends with; absent where it has none."""
        return self.folder / "owner"

    @property
    def sysctls(self) -> Path:
        """Settings of the whole machine that a cluster changes, as they were before."""
        return self.folder / "sysctls.json"

    def log(self, name: str) -> Path:
        """The log of the process called `name`."""
        return self.folder / "log" / f"{name}.log"

    def pid(self, name: str) -> Path:
        """The file with the process id of the process called `name`."""
        return self.folder / "log" / f"{name}.pid"

    def log_tail(self, name: str, lines: int = 4) -> str:
        """The last lines of a log as one line."""
        try:
            text = self.log(name).read_text(errors="replace")
        except FileNotFoundError:
            return f"{self.log(name)} does not exist"
        return f"{self.log(name)} ends: {' | '.join(text.splitlines()[-lines:]) or '(empty)'}"

    def nodes(self) -> list[Node]:
        """Those that were started on this state."""
        return [Node(self, int(path.name[4:])) for path in sorted(self.folder.glob("node[0-9]"))]


@dataclass(frozen=True, slots=True)
class Node:
    """Node `number`, from 1: a kubelet with a containerd, a bridge and a cgroup of its own."""

    state: State
    number: int

    @property
    def name(self) -> str:
        """As Kubernetes knows it."""
        return f"node{self.number}"

    @property
    def folder(self) -> Path:
        """All of the node's files but logs and keys."""
        return self.state.folder / self.name

    @property
    def bridge(self) -> str:
        """The network device that its pods hang on."""
        return f"cni{self.number - 1}"

    @property
    def address(self) -> str:
        """The bridge's own address, which is the node's too."""
        return f"10.88.{self.number - 1}.1"

    @property
    def subnet(self) -> str:
        """Where its pods have their addresses."""
        return f"10.88.{self.number - 1}.0/24"

    @property
    def kubelet_port(self) -> int:
        """Two kubelets share a machine."""
        return 10249 + self.number

    @property
    def cgroup(self) -> str:
        """A cgroup root of its own: a kubelet ends what it does not know below its root."""
        return f"k8s-node{self.number}"

    @property
    def socket(self) -> Path:
        """Of its containerd."""
        return self.folder / "c.sock"
