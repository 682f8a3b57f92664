"""Writing that survives a crash, and errors of the file system in one line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tuner.errors import TunerError, UserError, WorldError

_PERSONS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
_ADVICE = {
    errno.ENOSPC: "free some space, then give the same command again: the run goes on",
    errno.EDQUOT: "free some of the quota, then give the same command again: the run goes on",
    errno.EACCES: "choose a directory that can be written",
    errno.EPERM: "choose a directory that can be written",
    errno.EROFS: "choose a directory that can be written",
    errno.ENOTDIR: "a part of the path is a file; choose a directory",
    errno.EISDIR: "there is a directory in its place; choose another one",
}


def one_line(path: Path, error: OSError) -> TunerError:
    """The error for a person: UserError where another directory would be right, else WorldError."""
    advice = _ADVICE.get(error.errno or 0)
    said = f"{path}: {os.strerror(error.errno) if error.errno else error}"
    kind = UserError if error.errno in _PERSONS else WorldError
    return kind(f"{said}; {advice}" if advice else said)


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn an OSError inside into one line that names `path`."""
    try:
        yield
    except OSError as error:
        raise one_line(path, error) from error


def write_whole(path: Path, text: str) -> None:
    """Replace `path` by `text`: a reader, or a crash at any moment, sees the old or the new file whole.

    Raises:
        UserError, WorldError: it could not be written; the old file is as it was.
    """
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with beside.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Have the names in a directory on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
