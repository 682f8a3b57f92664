"""Where requests go and what each starts with: address, TLS, path, headers."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from tuner.trial.ports import Endpoint, LoadError


@dataclass(frozen=True)
class Origin:
    """The server of one endpoint.

    Attributes:
        tls: None for plain HTTP.
        base_path: what the endpoint's URL has before the API's path; mostly "".
        headers: lines that every request carries, each with its line break.
    """

    scheme: str
    host: str
    port: int
    tls: ssl.SSLContext | None
    base_path: str
    headers: str

    @classmethod
    def of(cls, endpoint: Endpoint) -> Origin:
        """Read an endpoint's URL, CA and token.

        Raises:
            LoadError: the URL or the CA cannot be used.
        """
        parts = urlsplit(endpoint.url)
        try:
            port = parts.port
        except ValueError as error:
            raise LoadError(f"endpoint url {endpoint.url!r}: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise LoadError(f"endpoint url {endpoint.url!r}: http://host:port or https://host:port")
        tls = None
        if parts.scheme == "https":
            try:
                tls = ssl.create_default_context(cadata=endpoint.ca_pem)
            except (ValueError, ssl.SSLError) as error:
                raise LoadError(f"the endpoint's CA: {error}; would be right: PEM certificates") from error
        port = port or (443 if tls else 80)
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        headers = f"Host: {host}:{port}\r\nConnection: keep-alive\r\n"
        if endpoint.token:
            headers += f"Authorization: Bearer {endpoint.token}\r\n"
        return cls(parts.scheme, parts.hostname, port, tls, parts.path.rstrip("/"), headers)

    @property
    def address(self) -> str:
        """Scheme, host and port, for people."""
        return f"{self.scheme}://{self.host}:{self.port}"

    def post(self, path: str, body: bytes) -> bytes:
        """A whole POST request with a JSON body."""
        head = (
            f"POST {self.base_path}{path} HTTP/1.1\r\n{self.headers}"
            f"Content-Type: application/json\r\nAccept: text/event-stream\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode("latin-1") + body

    def get(self, path: str) -> bytes:
        """A whole GET request."""
        return f"GET {self.base_path}{path} HTTP/1.1\r\n{self.headers}\r\n".encode("latin-1")
