"""A file that the workload names: read once, known by its hash, and shipped to where the load is made."""

from __future__ import annotations

import base64
import hashlib
import zlib
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from tuner.errors import SpecError
from tuner.spec.faults import Fault, show
from tuner.spec.section import Section, Text

LARGEST_BYTES = 1 << 30
LARGEST_SHIPPED_BYTES = 8 << 20  # compressed; a larger file must be there, with the same hash
_BEST_RATIO = 4  # of text


class WorkloadFile(Section):
    """A file of requests. Its hash stands in the resolved experiment: another content, another experiment.

    Where the hash is given the file is not read with the experiment, so that what was run can be read
    again when the file is gone; `text` then checks it.
    """

    path: Text = Field(description="The file; relative to where the command runs.")
    sha256: Text | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="Of the file, in hexadecimal; left out it is filled in. Another content is refused.",
    )
    content: SkipJsonSchema[Text | None] = Field(default=None, max_length=None, exclude=True, repr=False)

    @model_validator(mode="after")
    def _read(self) -> WorkloadFile:
        if self.sha256 is None:
            if self.content is not None:
                raise Fault(got="content", right="path", at=("content",), unknown_key=True)
            found = _bytes(self.path)
            self.check(_decoded(found))
            # frozen for all but this: the section is not yet in anybody's hands
            object.__setattr__(self, "sha256", hashlib.sha256(found).hexdigest())
        return self

    def check(self, text: str) -> None:
        """Refuse a file that is of no use.

        Raises:
            Fault: which line, and what would be right.
        """

    def text(self) -> str:
        """The file's text: what was shipped with the section, else the file's.

        Raises:
            Fault: there is no such file here, or its content is not the one that the hash names.
        """
        return _decoded(self._checked())

    def _checked(self) -> bytes:
        if self.content is not None:
            found = zlib.decompress(base64.b64decode(self.content))
        else:
            found = _bytes(self.path)
        digest = hashlib.sha256(found).hexdigest()
        if digest != self.sha256:
            got = f"a file with the SHA-256 {digest[:12]}... at {self.path}"
            raise Fault(got=got, right=f"the file that the experiment was made with, {self.sha256}")
        return found

    def shipped(self) -> dict[str, Any]:
        """The section's keys, with the content beside them where it is small enough to be sent along.

        Raises:
            SpecError: the file is not, or no longer, the one that the hash names.
        """
        try:
            content = self._checked()
        except Fault as fault:
            raise SpecError(f"workload: {self.path}: {fault}") from fault
        keys = self.model_dump(mode="json", exclude_none=True)
        if len(content) <= _BEST_RATIO * LARGEST_SHIPPED_BYTES:  # to pack more would be a waste
            packed = zlib.compress(content, 1)
            if len(packed) <= LARGEST_SHIPPED_BYTES:
                keys["content"] = base64.b64encode(packed).decode()
        return keys


def _bytes(path: str) -> bytes:
    file = Path(path)
    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise Fault(got=f"a file above {LARGEST_BYTES >> 20} MiB", right="a smaller one", at=("path",))
        return file.read_bytes()
    except OSError as error:
        got = f"{show(path)} ({error.strerror or error})"
        raise Fault(
            got=got, right=f"a file here, in {Path.cwd()}, or an absolute path", at=("path",)
        ) from error


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Fault(got=f"no UTF-8 in line {line} of the file", right="UTF-8 text", at=("path",)) from error
