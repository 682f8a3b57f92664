"""Access to one cluster: where it is, and the few verbs that are needed, over the official client.

Objects are JSON as the API has them. A client may be pickled: it connects in the process that uses it.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
import yaml
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import (
    ConfigException,
    list_kube_config_contexts,
    load_incluster_config,
    load_kube_config,
)

from tuner.deploy.kubernetes.api_errors import ApiRefused, Unreachable, refusal
from tuner.deploy.kubernetes.resources import ACCESS_REVIEW, POD, Resource
from tuner.deploy.kubernetes.stream import Stream
from tuner.errors import UserError

Json = dict[str, Any]

CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"
_DEFAULT_FILE = Path("~/.kube/config")
_POOL = 64  # every watch holds a connection of its own
_LONGEST_LOG_BYTES = 64 * 1024
# What the official library lets through of a file that is no YAML, or YAML of another shape.
_UNUSABLE = (ConfigException, OSError, ValueError, yaml.YAMLError, TypeError, AttributeError, KeyError)


@dataclass(frozen=True, slots=True)
class Access:
    """How a cluster is reached.

    Attributes:
        kubeconfig: file, or several as KUBECONFIG has them; "" for the service account of the own pod.
        context: of that file; "" for its current one.
        namespace: of that context or pod.
    """

    kubeconfig: str
    context: str
    namespace: str

    @classmethod
    def found(cls) -> Access:
        """As kubectl finds it: KUBECONFIG, else the file in the home, else the own pod's service account.

        Raises:
            UserError: none of them is there, or a file cannot be read.
        """
        files = os.environ.get("KUBECONFIG") or str(_DEFAULT_FILE.expanduser())
        parts = [str(Path(part).expanduser().absolute()) for part in files.split(os.pathsep) if part]
        if any(Path(part).is_file() for part in parts):
            files = os.pathsep.join(parts)
            try:
                _, active = list_kube_config_contexts(config_file=files)  # type: ignore[no-untyped-call]
            except _UNUSABLE as error:
                raise UserError(
                    f"kubeconfig {files}: {_one_line(error)}; would be right: a file that kubectl works with"
                ) from error
            context = active.get("context", {}) if active else {}
            return cls(files, str(active["name"]) if active else "", context.get("namespace") or "default")
        if os.environ.get(_IN_CLUSTER) and (_SERVICE_ACCOUNT / "token").is_file():
            own = _SERVICE_ACCOUNT / "namespace"
            return cls("", "", own.read_text().strip() if own.is_file() else "default")
        raise UserError(
            f"no Kubernetes cluster on {socket.gethostname()}: there is no file {files}, and this is no pod; "
            "would be right: KUBECONFIG=FILE"
        )

    def connect(self) -> ApiClient:
        """A client of the official library.

        Raises:
            UserError: the file is not on this machine, or not usable.
        """
        configuration = Configuration()
        try:
            if self.kubeconfig and any(Path(p).is_file() for p in self.kubeconfig.split(os.pathsep)):
                load_kube_config(  # type: ignore[no-untyped-call]
                    self.kubeconfig,
                    context=self.context or None,
                    client_configuration=configuration,
                    persist_config=False,
                )
            else:  # sent to a machine that lacks the driver's file: a pod of the cluster has its own way
                load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except _UNUSABLE as error:
            where = f"kubeconfig {self.kubeconfig}" if self.kubeconfig else "the pod's service account"
            raise UserError(f"{where} on {socket.gethostname()}: {_one_line(error)}") from error
        configuration.retries = urllib3.Retry(total=2, connect=1, read=1, redirect=0, other=0)
        configuration.connection_pool_maxsize = _POOL
        return ApiClient(configuration)


class Cluster:
    """One namespace of one cluster.

    Every method raises `Unreachable` where the API server does not answer, `ApiRefused` where it refuses.
    """

    def __init__(self, namespace: str | None = None, *, access: Access | None = None) -> None:
        self.access = access or Access.found()
        self.namespace = namespace or self.access.namespace
        self._lock = threading.Lock()
        self._client: ApiClient | None = None

    def __getstate__(self) -> tuple[str, Access]:
        return self.namespace, self.access

    def __setstate__(self, state: tuple[str, Access]) -> None:
        self.__init__(state[0], access=state[1])  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"Cluster({self.namespace!r}, context {self.access.context or 'in cluster'!r})"

    def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> Json | None:
        """The object; None where there is none."""
        try:
            return self._json("GET", resource.path(namespace or self.namespace, name))
        except ApiRefused as error:
            if error.status == 404:
                return None
            raise

    def list(
        self,
        resource: Resource,
        *,
        labels: str = "",
        fields: str = "",
        limit: int | None = None,
        everywhere: bool = False,
    ) -> Json:
        """The list object: `items`, and `metadata.resourceVersion` to watch from."""
        query = {"labelSelector": labels, "fieldSelector": fields, "limit": limit}
        return self._json("GET", resource.path("" if everywhere else self.namespace), query=query)

    def create(
        self, resource: Resource, manifest: Mapping[str, Any], *, dry_run: bool = False, strict: bool = True
    ) -> Json:
        """Create it in the namespace; unknown and repeated fields are refused where `strict`."""
        query = {
            "fieldValidation": "Strict" if strict else "Warn",
            "dryRun": "All" if dry_run else "",
            "fieldManager": "tuner",
        }
        return self._json("POST", resource.path(self.namespace), query=query, body=manifest)

    def replace(self, resource: Resource, manifest: Mapping[str, Any]) -> Json:
        """Replace the object; refused with 409 where it has changed since it was read."""
        path = resource.path(self.namespace, manifest["metadata"]["name"])
        return self._json("PUT", path, query={"fieldManager": "tuner"}, body=manifest)

    def delete(self, resource: Resource, name: str, *, seconds: float = READ_SECONDS) -> bool:
        """Have it deleted, its children in the background; False where there is none."""
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        try:
            self._json("DELETE", resource.path(self.namespace, name), body=body, seconds=seconds)
        except ApiRefused as error:
            if error.status == 404:
                return False
            raise
        return True

    def watch(
        self, resource: Resource, *, version: str, labels: str = "", fields: str = "", seconds: float
    ) -> Stream:
        """Changes after `version`, for at most `seconds`; bookmarks among them."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": int(seconds),
            "labelSelector": labels,
            "fieldSelector": fields,
        }
        path = resource.path(self.namespace)
        return Stream(self._send("GET", path, query=query, seconds=seconds + READ_SECONDS))

    def log(
        self, pod: str, container: str, *, previous: bool = False, lines: int, seconds: float = READ_SECONDS
    ) -> str:
        """The last `lines` of a container's log."""
        query = {
            "container": container,
            "previous": "true" if previous else "",
            "tailLines": lines,
            "limitBytes": _LONGEST_LOG_BYTES if lines > 1000 else "",
        }
        path = POD.path(self.namespace, pod, part="log")
        return self._read("GET", path, query=query, seconds=seconds).decode("utf-8", "replace")

    def may(self, verb: str, resource: Resource, *, part: str = "", everywhere: bool = False) -> bool:
        """Whether the API server would let us."""
        asked = {
            "verb": verb,
            "group": resource.group,
            "resource": resource.plural,
            "subresource": part,
            "namespace": "" if everywhere or not resource.namespaced else self.namespace,
        }
        review = {
            "apiVersion": ACCESS_REVIEW.api_version,
            "kind": ACCESS_REVIEW.kind,
            "spec": {"resourceAttributes": {key: value for key, value in asked.items() if value}},
        }
        return bool(self.create(ACCESS_REVIEW, review).get("status", {}).get("allowed"))

    def server_version(self, *, seconds: float = READ_SECONDS) -> str:
        """As the API server tells it: v1.34.4."""
        return str(self._json("GET", "/version", seconds=seconds)["gitVersion"])

    def _json(self, method: str, path: str, **sent: Any) -> Json:
        found: Json = json.loads(self._read(method, path, **sent))
        return found

    def _read(self, method: str, path: str, **sent: Any) -> bytes:
        response = self._send(method, path, **sent)
        try:
            return response.read()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(self._host, _one_line(error)) from error
        finally:
            response.release_conn()

    def _send(self, method: str, path: str, **sent: Any) -> urllib3.BaseHTTPResponse:
        client = self._connected()
        answer, text = self._asked(client, method, path, **sent)
        if answer.status == 401:  # a token has its day: another may lie where this one was read
            answer, text = self._asked(self._renewed(client), method, path, **sent)
        if answer.status >= 300:
            raise refusal(method, path, answer.status, text)
        found: urllib3.BaseHTTPResponse = answer.response
        return found

    def _asked(
        self,
        client: ApiClient,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        seconds: float = READ_SECONDS,
    ) -> tuple[Any, bytes]:
        """The library's answer, and its text where it is a refusal."""
        request = client.param_serialize(
            method,
            path,
            query_params=[(key, value) for key, value in (query or {}).items() if value not in ("", None)],
            header_params={"Accept": "application/json, */*", "Content-Type": "application/json"},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            answer = client.call_api(*request, _request_timeout=(CONNECT_SECONDS, seconds))
            return answer, b"" if answer.status < 300 else bytes(answer.response.data)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(self._host, _one_line(error)) from error

    def _connected(self) -> ApiClient:
        with self._lock:
            if self._client is None:
                self._client = self.access.connect()
            return self._client

    def _renewed(self, old: ApiClient) -> ApiClient:
        """One with credentials read now; another thread may have been first."""
        with self._lock:
            if self._client is old:
                self._client = self.access.connect()
            assert self._client is not None
            return self._client

    @property
    def _host(self) -> str:
        return str(self._connected().configuration.host)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    reason = getattr(error, "reason", None)
    return " ".join(str(reason).split()) if isinstance(reason, Exception) else text
