"""etcd, API server, controllers and scheduler, and a client of the API server for what starting needs."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from certificates import authority, certificate, kubeconfig
from processes import start, wait_for
from state import Node, State

_SERVICE_ADDRESSES = "10.96.0.0/16"
_API_SERVER_NAMES = (
    "IP:127.0.0.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
)
# Kubernetes 1.34 and 1.35; later ones have the policies without a flag.
_MUTATING_POLICIES = (
    "--feature-gates=MutatingAdmissionPolicy=true",
    "--runtime-config=admissionregistration.k8s.io/v1beta1=true",
)
# Who asked for what, of the accounts that tests run under; its controllers' own would be most of the log.
_AUDITED = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "None"},
    ],
}


@dataclass(frozen=True, slots=True)
class Api:
    """Requests to the API server as administrator."""

    state: State

    def send(self, path: str, *, patch: Any = None) -> Any:
        """The answer to a GET, or to a merge patch; None where there is no answer or a refusal."""
        request = urllib.request.Request(f"https://127.0.0.1:{self.state.api_port}{path}")
        if patch is not None:
            request.method, request.data = "PATCH", json.dumps(patch).encode()
            request.add_header("Content-Type", "application/merge-patch+json")
        try:
            context = ssl.create_default_context(cafile=str(self.state.pki / "ca.crt"))
            context.load_cert_chain(self.state.pki / "admin.crt", self.state.pki / "admin.key")
            with urllib.request.urlopen(request, context=context, timeout=10) as answer:
                text = answer.read().decode()
        except (OSError, http.client.HTTPException):  # among them what urllib raises, and a missing file
            return None
        return json.loads(text) if text.startswith("{") else text


def start_control_plane(state: State, programs: Path, *, policies: bool) -> None:
    """Start it and wait until the API server serves.

    Args:
        programs: the folder of the four Kubernetes programs.
        policies: turn MutatingAdmissionPolicy on.
    """
    authority(state)
    (state.folder / "audit.yaml").write_text(yaml.safe_dump(_AUDITED))
    addresses = ",".join(f"IP:{Node(state, number).address}" for number in range(1, 10))
    certificate(state, "apiserver", "/CN=kube-apiserver", f"{_API_SERVER_NAMES},{addresses}")
    certificate(state, "admin", "/O=system:masters/CN=admin")
    admin = kubeconfig(state, "admin", "admin")
    own_etcd = programs / "etcd"
    etcd = start(
        state,
        "etcd",
        [
            own_etcd if own_etcd.exists() else "etcd",
            "--data-dir=etcd",
            "--unsafe-no-fsync",
            f"--listen-client-urls=http://127.0.0.1:{state.etcd_port}",
            f"--advertise-client-urls=http://127.0.0.1:{state.etcd_port}",
            f"--listen-peer-urls=http://127.0.0.1:{state.etcd_port + 1}",
        ],
    )
    wait_for(
        "etcd serves",
        lambda: _answers(f"http://127.0.0.1:{state.etcd_port}/health"),
        seconds=30,
        state=state,
        by="etcd",
        process=etcd,
    )
    server = start(state, "apiserver", _api_server(state, programs, policies))
    wait_for(
        "the API server is ready",
        lambda: Api(state).send("/readyz") == "ok",
        seconds=90,
        state=state,
        by="apiserver",
        process=server,
    )
    start(
        state,
        "controllers",
        [
            programs / "kube-controller-manager",
            f"--kubeconfig={admin}",
            f"--service-account-private-key-file={state.pki / 'sa.key'}",
            f"--root-ca-file={state.pki / 'ca.crt'}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--controllers=*",
            f"--secure-port={state.first_port + 7}",
            "--kube-api-qps=500",  # else a namespace takes 10 s to go: it asks after every kind twice
            "--kube-api-burst=1000",
            f"--flex-volume-plugin-dir={state.folder / 'plugins'}",
            "--bind-address=127.0.0.1",
        ],
    )
    start(
        state,
        "scheduler",
        [
            programs / "kube-scheduler",
            f"--kubeconfig={admin}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={state.first_port + 9}",
        ],
    )


def _api_server(state: State, programs: Path, policies: bool) -> list[str | Path]:
    pki = state.pki
    return [
        programs / "kube-apiserver",
        f"--etcd-servers=http://127.0.0.1:{state.etcd_port}",
        "--bind-address=0.0.0.0",  # pods reach it by their node's address
        "--advertise-address=127.0.0.1",
        f"--secure-port={state.api_port}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki / 'sa.key'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        f"--service-cluster-ip-range={_SERVICE_ADDRESSES}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        "--endpoint-reconciler-type=none",  # a loopback address is refused as the service's endpoint
        f"--kubelet-client-certificate={pki / 'admin.crt'}",
        f"--kubelet-client-key={pki / 'admin.key'}",
        "--kubelet-preferred-address-types=InternalIP",  # no DNS knows the nodes' names
        "--enable-aggregator-routing=true",  # webhooks are dialled at the pod's address: no kube-proxy here
        f"--audit-policy-file={state.folder / 'audit.yaml'}",
        f"--audit-log-path={state.folder / 'audit.log'}",
        "--audit-log-mode=blocking",  # an answer is in the log when it is sent
        *(_MUTATING_POLICIES if policies else ()),
    ]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (OSError, http.client.HTTPException):
        return False


def is_ready(node: Node, *, since: str = "") -> bool:
    """Whether the node's condition Ready is true.

    Args:
        since: as Kubernetes writes a time; what the kubelet said before it does not count.
    """
    found = Api(node.state).send(f"/api/v1/nodes/{node.name}")
    return bool(found) and any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in found["status"].get("conditions", [])
        if condition["lastHeartbeatTime"] >= since
    )
