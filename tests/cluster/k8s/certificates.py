"""A cluster's own certificate authority, certificates, and kubeconfigs that use them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import yaml
from processes import command
from state import State

_DAYS = "365"


def authority(state: State) -> None:
    """The authority, and the key that service account tokens are signed with."""
    state.pki.mkdir(parents=True, exist_ok=True)
    if not (state.pki / "ca.crt").exists():
        _openssl(
            "req -x509 -newkey rsa:2048 -nodes -subj /CN=test-ca",
            days=_DAYS,
            keyout=state.pki / "ca.key",
            out=state.pki / "ca.crt",
        )
    if not (state.pki / "sa.key").exists():
        _openssl("genrsa", out=state.pki / "sa.key")


def certificate(state: State, name: str, subject: str, alternatives: str = "") -> None:
    """A certificate for `subject` as server and client, unless it is there.

    Args:
        subject: in openssl's spelling; Kubernetes reads O as group and CN as user.
        alternatives: names and addresses that it serves under, "DNS:...,IP:...".
    """
    crt, key = state.pki / f"{name}.crt", state.pki / f"{name}.key"
    if crt.exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        request, extensions = Path(folder, "request"), Path(folder, "extensions")
        extensions.write_text(
            f"subjectAltName={alternatives or f'DNS:{name}'}\nextendedKeyUsage=serverAuth,clientAuth\n"
        )
        _openssl(
            "req -newkey rsa:2048 -nodes",
            subj=subject,
            keyout=key,
            out=request,
        )
        _openssl(
            "x509 -req -CAcreateserial",
            CA=state.pki / "ca.crt",
            CAkey=state.pki / "ca.key",
            days=_DAYS,
            extfile=extensions,
            **{"in": request},
            out=crt,
        )


def _openssl(words: str, **options: str | Path) -> None:
    """Run it with these words and then options, each `-name value`; the names are openssl's."""
    given = [part for name, value in options.items() for part in (f"-{name}", value)]
    command(["openssl", *words.split(), *given])


def kubeconfig(state: State, name: str, user: str) -> Path:
    """A kubeconfig with the certificate called `name`; `user` is what its user is called in the file."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "test",
                "cluster": {
                    "server": f"https://127.0.0.1:{state.api_port}",
                    "certificate-authority": str(state.pki / "ca.crt"),
                },
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate": str(state.pki / f"{name}.crt"),
                    "client-key": str(state.pki / f"{name}.key"),
                },
            }
        ],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
        "current-context": "test",
    }
    path = state.folder / f"{name}.kubeconfig"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path
