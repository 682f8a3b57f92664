"""A TLS context whose certificate can be replaced while it serves."""

from __future__ import annotations

import ssl
from pathlib import Path

from cryptography import x509

from tuner.errors import WorldError

_Stamp = tuple[tuple[int, int], ...]


class TlsFilesUnusable(WorldError):
    """Certificate and key cannot be served: one line, which file and why."""


class ReloadingTls:
    """Serves the certificate in two PEM files, and what replaces them.

    New connections get the newest certificate that could be loaded with its key; old ones keep theirs.

    Attributes:
        context: for the server.
        expires_at: when the certificate served now ends, in seconds since 1970.
    """

    def __init__(self, cert: Path, key: Path) -> None:
        self._cert = cert
        self._key = key
        self._stamp = self._seen()
        self._current, self.expires_at = self._load()
        self.context = self._new_context()
        self.context.load_cert_chain(cert, key)
        self.context.sni_callback = self._switch

    def reload(self) -> bool:
        """Look at the files, and load them if they changed; whether they were loaded.

        Raises:
            TlsFilesUnusable: they changed and cannot be served; the certificate before them stays, and the
                next call looks at them again.
        """
        seen = self._seen()
        if seen == self._stamp:
            return False
        self._current, self.expires_at = self._load()
        self._stamp = seen
        return True

    def _seen(self) -> _Stamp:
        """Changes when either file does: a Secret's volume swaps a link, so its inode changes."""
        try:
            return tuple((s.st_ino, s.st_mtime_ns) for s in (self._cert.stat(), self._key.stat()))
        except OSError as error:
            raise TlsFilesUnusable(f"{error.filename}: {error.strerror}") from error

    def _load(self) -> tuple[ssl.SSLContext, float]:
        made = self._new_context()
        try:
            made.load_cert_chain(self._cert, self._key)
            leaf = x509.load_pem_x509_certificates(self._cert.read_bytes())[0]
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise TlsFilesUnusable(f"{self._cert} and {self._key} do not load: {error}") from error
        return made, leaf.not_valid_after_utc.timestamp()

    @staticmethod
    def _new_context() -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        return made

    def _switch(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called at each handshake, also of a client that names no server."""
        connection.context = self._current
