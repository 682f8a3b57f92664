"""What Kubernetes and OME would read into a container's words, written so that it stays as it is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection

MODEL_PATH = "MODEL_PATH"
_REFERENCE = re.compile(r"\$\(([A-Za-z_.-][A-Za-z0-9_.-]*)\)")
_DOLLAR = re.compile(r"\$\(([A-Za-z_.-][A-Za-z0-9_.-]*)\)|\$(?=[$(])")
_BRACES, _ESCAPED_BRACES = "{{", "{{`{{`}}"


def expandable(text: str, *, variables: Collection[str]) -> str:
    """`text` for a container's args or env: `$(NAME)` of `variables` is left, other `$(` and `$$` escaped."""

    def escaped(match: re.Match[str]) -> str:
        if match.group(1) in variables:
            return match.group(0)
        return "$" + match.group(0)

    return _DOLLAR.sub(escaped, text)


def templated(text: str) -> str:
    """`text` for OME, which reads a container as a Go template over the object's metadata."""
    return text.replace(_BRACES, _ESCAPED_BRACES)


def shell_word(text: str, *, variables: Collection[str]) -> str:
    """`text` as one word of a shell script within a container's command; `$(NAME)` becomes "$NAME"."""
    parts, end = [], 0
    for match in _REFERENCE.finditer(text):
        name = match.group(1)
        if name in variables and name.isidentifier():
            parts += [_quoted(text[end : match.start()]), f'"${name}"']
            end = match.end()
    parts.append(_quoted(text[end:]))
    return "".join(parts) or "''"


def _quoted(text: str) -> str:
    return expandable(shlex.quote(text), variables=()) if text else ""
