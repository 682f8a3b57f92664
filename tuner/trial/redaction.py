"""Takes secrets out of what is written down: known values, and what engines print behind tell-tale words.

An engine may print its own arguments or environment, and the end of its log is kept. Nothing is lost by
taking too much: a mask stands where the value stood.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from tuner.errors import Failure
from tuner.spec.pod import SECRET_NAME

MASK = "[hidden]"
_SHORTEST = 6  # shorter ones stand in innocent words
_WORD = r"""["'\[(]*([^\s"',;)\]}]+)"""  # a value, in quotes or a list or bare
_TELLING = (
    re.compile(
        rf"(?i)\b(?:api[-_]?key|access[-_]?key|password|passwd|secret[-_]?key)\b[\"']?\s*[=: ]\s*{_WORD}"
    ),
    re.compile(rf"\b[A-Z][A-Z0-9_]*_(?:TOKEN|PASSWORD|SECRET|API_?KEY)\b[\"']?\s*[=:]\s*{_WORD}"),
    re.compile(r"(?i)\bbearer\s+([A-Za-z0-9._~+/=-]{6,})"),
    re.compile(r"://[^/\s:@]*:([^@\s/]+)@"),
    re.compile(r"\b((?:hf|sk|ghp|xox[bp])[-_][A-Za-z0-9_-]{12,})"),
)


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` with a mask in place of every one of `secrets`, and of what looks like one."""
    for value in sorted({s for s in secrets if len(s) >= _SHORTEST}, key=len, reverse=True):
        text = text.replace(value, MASK)
    for pattern in _TELLING:
        text = pattern.sub(_masked, text)
    return text


def redacted_failure(failure: Failure, secrets: Iterable[str] = ()) -> Failure:
    """The same with nothing secret in its message and its log."""
    known = tuple(secrets)
    message, log = redacted(failure.message, known), redacted(failure.log_tail, known)
    return replace(failure, message=message, log_tail=log)


def secrets_among(variables: Mapping[str, str]) -> tuple[str, ...]:
    """The values of environment variables whose names say that they are secret."""
    return tuple(value for name, value in variables.items() if value and SECRET_NAME.search(name))


def _masked(match: re.Match[str]) -> str:
    begin, end = (place - match.start() for place in match.span(1))
    whole = match[0]
    return whole if match[1].startswith(("[hidden", "$(")) else whole[:begin] + MASK + whole[end:]
