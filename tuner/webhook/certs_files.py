"""Certificates as files in a folder: tls.crt, tls.key, ca.crt, the keys of a Kubernetes TLS Secret."""

from __future__ import annotations

import os
from pathlib import Path

from tuner.errors import WorldError
from tuner.webhook.certs import Certificates

CERT, KEY, CA = "tls.crt", "tls.key", "ca.crt"


def read_certificates(folder: Path) -> Certificates | None:
    """What lies in `folder`; None where one of the three is missing."""
    try:
        return Certificates(
            cert=(folder / CERT).read_bytes(),
            key=(folder / KEY).read_bytes(),
            ca_bundle=(folder / CA).read_bytes(),
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WorldError(f"{error.filename}: {error.strerror}") from error


def write_certificates(folder: Path, made: Certificates) -> None:
    """Write the three, each whole or not at all; the key is readable by its owner alone.

    The bundle comes first: whoever reads in between trusts more than is shown, not less.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content, mode in (
            (CA, made.ca_bundle, 0o644),
            (KEY, made.key, 0o600),
            (CERT, made.cert, 0o644),
        ):
            new = folder / f".{name}.new"
            new.unlink(missing_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(content)
            new.replace(folder / name)
    except OSError as error:
        raise WorldError(f"{error.filename}: {error.strerror}") from error
