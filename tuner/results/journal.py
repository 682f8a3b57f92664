"""An append-only file of JSON lines that a crash at any moment leaves readable."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tuner.errors import WorldError
from tuner.results.files import sync_directory, told
from tuner.results.plain_json import dumps


class Journal:
    """One line an entry, one fsync a line; one writer, any number of readers beside it.

    A line counts once its line break is on disk. A last line that a crash cut short is passed over by
    readers and cut off by the next writer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one line; it is on disk when this returns.

        Raises:
            UserError, WorldError: it could not be written; the file ends with the line before.
        """
        line = dumps(entry).encode() + b"\n"
        with told(self.path):
            descriptor = self._open()
            before = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, line)
                os.fsync(descriptor)
            except OSError:
                with suppress(OSError):  # a full disk takes part of a line
                    os.ftruncate(descriptor, before)
                raise

    def read(self) -> Iterator[dict[str, Any]]:
        """The entries, oldest first; none where there is no file yet.

        Raises:
            WorldError: a line that is not the last cannot be read, so somebody else wrote to the file.
        """
        broken: int | None = None
        with told(self.path):
            try:
                file = self.path.open("rb")
            except FileNotFoundError:
                return
            with file:
                for number, line in enumerate(file, start=1):
                    if broken is not None:
                        raise WorldError(f"{self.path}:{broken}: not a line of JSON; restore or remove it")
                    entry = _parsed(line)
                    if entry is None:
                        broken = number
                    else:
                        yield entry

    def close(self) -> None:
        """Close the file; the next append opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        if self._descriptor is None:
            existed = self.path.exists()
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self._descriptor = descriptor
            if existed:
                os.ftruncate(descriptor, self._whole_bytes())
            else:
                sync_directory(self.path.parent)
        return self._descriptor

    def _whole_bytes(self) -> int:
        """The length without a torn last line."""
        whole = torn = 0
        with self.path.open("rb") as file:
            for line in file:
                if _parsed(line) is None:
                    torn += len(line)
                else:
                    whole += torn + len(line)
                    torn = 0
        return whole


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The entry; None for a line that was not written to its end."""
    if not line.endswith(b"\n"):
        return None
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
