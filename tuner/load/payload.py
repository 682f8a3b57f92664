"""The JSON body of a request, and which optional fields a server turned out not to know."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Api = Literal["completions", "chat"]
Prompt = str | Sequence[tuple[str, str]]  # text, or a chat's messages: role, content
GREEDY: Mapping[str, Any] = {"temperature": 0}

# Not part of every server's API: dropped where the server names one of them in a refusal.
OPTIONAL_FIELDS = ("ignore_eos", "stream_options")


class Payload:
    """Bodies for one model on one API.

    Args:
        sampling: fields of the body; greedy unless the workload asks for else, as what the load measures
            should not hang on a random draw. One that the server refuses is an error: it was asked for.
    """

    def __init__(self, model: str, api: Api, sampling: Mapping[str, Any] = GREEDY) -> None:
        self._model = model
        self._api = api
        self._sampling = dict(sampling)
        self._dropped: set[str] = set()

    @property
    def path(self) -> str:
        """The API's path."""
        return "/v1/completions" if self._api == "completions" else "/v1/chat/completions"

    @property
    def asks_for_usage(self) -> bool:
        """Whether the server is asked for its count of tokens."""
        return "stream_options" not in self._dropped

    def body(self, prompt: Prompt, *, max_tokens: int) -> bytes:
        """The body of a streamed completion of exactly `max_tokens` tokens, where the server obeys.

        Text is a chat's one message of the user; messages are for chat alone.
        """
        asked: Any = prompt
        if self._api == "chat":
            messages = (("user", prompt),) if isinstance(prompt, str) else prompt
            asked = [{"role": role, "content": content} for role, content in messages]
        fields = {
            "model": self._model,
            "prompt" if self._api == "completions" else "messages": asked,
            "max_tokens": max_tokens,
            **self._sampling,
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
