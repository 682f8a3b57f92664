"""Where a test cluster keeps its files, and the figures that keep its parts and its nodes apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MARK = "K8S_STATE"  # in the environment of all that a cluster starts; its value is the state's folder
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
    def place(self) -> Path:
        """The file with the slot, written when the cluster is first started."""
        return self.folder / "slot"

    @property
    def slot(self) -> int:
        """Keeps the ports, networks and cgroups of several clusters on a machine apart; from 0."""
        return int(self.place.read_text()) if self.place.exists() else 0

    @property
    def api_port(self) -> int:
        """Of the API server."""
        return 16443 + self.slot

    @property
    def etcd_port(self) -> int:
        """For clients; the next one is for peers."""
        return 12379 + 2 * self.slot

    @property
    def first_port(self) -> int:
        """Of ten for kubelets and controllers; they are Kubernetes' own in the first slot."""
        return 10250 + 10 * self.slot

    @property
    def owner(self) -> Path:
        """The id of the process that the cluster ends with; absent where it has none."""
        return self.folder / "owner"

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
    def index(self) -> int:
        """Its number on the machine, other clusters' nodes counted."""
        return 10 * self.state.slot + self.number

    @property
    def bridge(self) -> str:
        """The network device that its pods hang on."""
        return f"cni{self.index - 1}"

    @property
    def address(self) -> str:
        """The bridge's own address, which is the node's too."""
        return f"10.88.{self.index - 1}.1"

    @property
    def subnet(self) -> str:
        """Where its pods have their addresses."""
        return f"10.88.{self.index - 1}.0/24"

    @property
    def kubelet_port(self) -> int:
        """Two kubelets share a machine."""
        return self.state.first_port + self.number - 1

    @property
    def cgroup(self) -> str:
        """A cgroup root of its own: a kubelet ends what it does not know below its root."""
        return f"k8s-node{self.index}"

    @property
    def socket(self) -> Path:
        """Of its containerd."""
        return self.folder / "c.sock"
