"""Small questions to an engine on this machine: is it healthy, what is its version, has it metrics."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

_SECONDS = 0.4  # an engine that is busy with loading may not answer; cancelling must not wait for it


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, or the reason why there was none (status 0)."""

    status: int
    body: str

    def __str__(self) -> str:
        if not self.status:
            return self.body
        try:  # llama.cpp: {"error": {"message": "Loading model", ...}}
            said = json.loads(self.body)["error"]["message"]
        except (ValueError, KeyError, TypeError):
            said = self.body
        return f"HTTP {self.status} {said[:120]}".strip()


def get(url: str, path: str, *, timeout_seconds: float = _SECONDS) -> Answer:
    """What `path` answers; never raises for what a server or its absence does."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_seconds)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(65536).decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, str(error) or type(error).__name__)
    finally:
        connection.close()


def engine_version(url: str) -> str:
    """As llama-server (/props) or vLLM (/version) tell it; "" where neither does."""
    for path, field in (("/props", "build_info"), ("/version", "version")):
        answer = get(url, path)
        if answer.status == 200:
            try:
                if version := json.loads(answer.body).get(field):
                    return str(version)
            except (ValueError, AttributeError):
                continue
    return ""
