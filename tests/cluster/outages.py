"""Takes parts of the session's own cluster away for a while, and what stands behind its tokens."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import processes
import pytest
import yaml
from control_plane import Api
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from kubernetes import client
from state import State

LEEWAY_SECONDS = 60  # an API server takes a token for so long after its end
_ISSUER = "https://kubernetes.default.svc"


def own_state(kubeconfig: Path) -> State:
    """Of the cluster behind the administrator's kubeconfig; skips where it is not one of ours."""
    found = State.at(kubeconfig.parent)
    if not (found.pki / "sa.key").exists():
        pytest.skip("this takes a cluster of the tests' own: its API server is ended, or its key used")
    return found


@contextmanager
def api_server_gone(state: State) -> Iterator[None]:
    """Killed inside, started again afterwards with the same words; it serves when this returns."""
    (server,) = processes.named(state, "apiserver")
    words = server.cmdline()
    server.kill()
    assert processes.wait_until(lambda: not processes.alive(server), 10)
    try:
        yield
    finally:
        processes.start(state, "apiserver", list(words))
        assert processes.wait_until(lambda: Api(state).send("/readyz") == "ok", 90), "it does not come back"


def signed_token(state: State, api: client.ApiClient, *, namespace: str, account: str, seconds: float) -> str:
    """A token of a service account, good for about `seconds` (the API server keeps a yes for 10 s)."""
    uid = client.CoreV1Api(api).read_namespaced_service_account(account, namespace).metadata.uid
    now = int(time.time())
    claims = {
        "iss": _ISSUER,
        "aud": [_ISSUER],
        "sub": f"system:serviceaccount:{namespace}:{account}",
        "iat": now - LEEWAY_SECONDS,
        "nbf": now - LEEWAY_SECONDS,
        "exp": int(now + seconds - LEEWAY_SECONDS),
        "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": account, "uid": uid}},
    }
    key = serialization.load_pem_private_key((state.pki / "sa.key").read_bytes(), password=None)
    head = {"alg": "RS256", "typ": "JWT"}
    body = b".".join(_plain(json.dumps(part).encode()) for part in (head, claims))
    signature = key.sign(body, padding.PKCS1v15(), hashes.SHA256())  # type: ignore[union-attr,call-arg,arg-type]
    return (body + b"." + _plain(signature)).decode()


def with_token(kubeconfig: Path, token: str, path: Path) -> Path:
    """`path`: the kubeconfig with another token."""
    content: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())
    content["users"][0]["user"] = {"token": token}
    path.write_text(yaml.safe_dump(content))
    return path


def _plain(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
