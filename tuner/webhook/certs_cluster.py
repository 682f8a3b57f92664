"""Certificates in a cluster: a TLS Secret for the pods, and the CA bundle in the webhook's configuration."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from kubernetes.client import (
    AdmissionregistrationV1Api,
    ApiClient,
    ApiException,
    CoreV1Api,
    V1ObjectMeta,
    V1Secret,
)
from urllib3.exceptions import HTTPError

from tuner.errors import WorldError
from tuner.webhook.certs import Certificates
from tuner.webhook.certs_files import CA, CERT, KEY


@dataclass(frozen=True, slots=True)
class StoredCertificates:
    """What the Secret holds, and the version by which a write shows that nobody else wrote meanwhile."""

    certificates: Certificates | None
    version: str | None  # None: there is no Secret


@dataclass(frozen=True, kw_only=True)
class ClusterCertificates:
    """Reads and writes the webhook's certificates in one cluster.

    Attributes:
        client: of the cluster.
        namespace: of the Secret.
        secret: its name.
        configuration: the MutatingWebhookConfiguration's.
    """

    client: ApiClient
    namespace: str
    secret: str
    configuration: str

    def read(self) -> StoredCertificates:
        """What the Secret holds.

        Raises:
            WorldError: the API server cannot be asked, or refuses.
        """
        with _told(f"secret {self.namespace}/{self.secret}"):
            try:
                found = CoreV1Api(self.client).read_namespaced_secret(self.secret, self.namespace)
            except ApiException as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    return StoredCertificates(None, None)
                raise
        content = {name: base64.b64decode(value) for name, value in (found.data or {}).items()}
        whole = Certificates(
            cert=content.get(CERT, b""), key=content.get(KEY, b""), ca_bundle=content.get(CA, b"")
        )
        return StoredCertificates(whole, found.metadata.resource_version if found.metadata else None)

    def write(self, made: Certificates, over: StoredCertificates) -> None:
        """Write the Secret, unless somebody else did since `over` was read.

        Raises:
            WorldError: also where somebody else did.
        """
        content = {CERT: made.cert, KEY: made.key, CA: made.ca_bundle}
        body = V1Secret(
            metadata=V1ObjectMeta(name=self.secret, resource_version=over.version),
            type="kubernetes.io/tls",
            data={name: base64.b64encode(value).decode() for name, value in content.items()},
        )
        core = CoreV1Api(self.client)
        with _told(f"secret {self.namespace}/{self.secret}"):
            if over.version is None:
                core.create_namespaced_secret(self.namespace, body)
            else:
                core.replace_namespaced_secret(self.secret, self.namespace, body)

    def trust(self, ca_bundle: bytes) -> bool:
        """Put the bundle into every webhook of the configuration; whether that changed anything.

        Raises:
            WorldError: there is no such configuration, or the API server refuses.
        """
        wanted = base64.b64encode(ca_bundle).decode()
        api = AdmissionregistrationV1Api(self.client)
        with _told(f"mutatingwebhookconfiguration {self.configuration}"):
            webhooks = api.read_mutating_webhook_configuration(self.configuration).webhooks or []
            changes: list[dict[str, Any]] = []
            for i, webhook in enumerate(webhooks):
                if webhook.client_config.ca_bundle != wanted:
                    place = f"/webhooks/{i}"
                    changes += [
                        {"op": "test", "path": f"{place}/name", "value": webhook.name},
                        {"op": "add", "path": f"{place}/clientConfig/caBundle", "value": wanted},
                    ]
            if changes:
                api.patch_mutating_webhook_configuration(self.configuration, changes)
        return bool(changes)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Say in one line which object the API server would not give or take."""
    try:
        yield
    except ApiException as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise WorldError(f"{what} is not there: apply cluster/admission/webhook.yaml first") from error
        if error.status == HTTPStatus.CONFLICT:
            raise WorldError(f"{what} was changed by somebody else meanwhile: run it again") from error
        raise WorldError(f"{what}: {error.status} {error.reason}") from error
    except HTTPError as error:
        raise WorldError(f"{what}: the API server cannot be reached: {error}") from error
