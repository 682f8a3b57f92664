"""The JSON body of a request, and which optional fields a server turned out not to know."""

from __future__ import annotations

import json
from typing import Any, Literal

Api = Literal["completions", "chat"]

# Not part of every server's API: dropped where the server names one of them in a refusal.
OPTIONAL_FIELDS = ("ignore_eos", "stream_options")


class Payload:
    """Bodies for one model on one API.

    Sampling is greedy: what the load measures must not hang on a random draw.
    """

    def __init__(self, model: str, api: Api) -> None:
        self._model = model
        self._api = api
        self._dropped: set[str] = set()

    @property
    def path(self) -> str:
        """The API's path."""
        return "/v1/completions" if self._api == "completions" else "/v1/chat/completions"

    @property
    def asks_for_usage(self) -> bool:
        """Whether the server is asked for its count of tokens."""
        return "stream_options" not in self._dropped

    def body(self, prompt: str, *, max_tokens: int) -> bytes:
        """The body of a streamed completion of exactly `max_tokens` tokens, where the server obeys."""
        asked: Any = prompt if self._api == "completions" else [{"role": "user", "content": prompt}]
        fields = {
            "model": self._model,
            "prompt" if self._api == "completions" else "messages": asked,
            "max_tokens": max_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            "ignore_eos": True,
        }
        for name in self._dropped:
            del fields[name]
        return json.dumps(fields).encode()

    def drop_refused_field(self, refusal: str) -> bool:
        """Leave out from now on an optional field that `refusal` names; whether there was one."""
        for name in OPTIONAL_FIELDS:
            if name in refusal and name not in self._dropped:
                self._dropped.add(name)
                return True
        return False
