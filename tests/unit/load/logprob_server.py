"""An OpenAI-style server with log-probabilities, in every form in which servers send them."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

import uvloop
from loopback_server import LoopbackServer

Tops = list[tuple[str, float]]  # at one place, what was said first


def places(prompt: str, tokens: int) -> list[Tops]:
    """What is answered to a prompt: the same every time."""
    shift = (hash_of(prompt) % 100) / 1000
    return [[("yes", -0.25 - shift), ("no", -1.75), (f"t{i}", -4.0)] for i in range(tokens)]


def restless() -> Callable[[str, int], list[Tops]]:
    """Answers that are a little other ones every time."""
    times = itertools.count(1)

    def answer(prompt: str, tokens: int) -> list[Tops]:
        off = next(times) * 1e-6
        return [[(token, value - off) for token, value in tops] for tops in places(prompt, tokens)]

    return answer


def hash_of(text: str) -> int:
    return sum(ord(c) * (i + 1) for i, c in enumerate(text))


def as_completion(found: list[Tops]) -> dict[str, Any]:
    return {
        "tokens": [tops[0][0] for tops in found],
        "token_logprobs": [tops[0][1] for tops in found],
        "top_logprobs": [dict(tops) for tops in found],
        "text_offset": [0] * len(found),
    }


def as_chat(found: list[Tops], *, ids: bool = False) -> dict[str, Any]:
    def one(token: str, value: float) -> dict[str, Any]:
        return {"token": token, "logprob": value, "bytes": [], **({"id": hash_of(token)} if ids else {})}

    return {"content": [{**one(*tops[0]), "top_logprobs": [one(*t) for t in tops]} for tops in found]}


class LogprobServer(LoopbackServer):
    """Answers `form(answer(prompt, max_tokens))`; `refuse(request)` may say a status and words instead.

    Attributes:
        seen: the requests, each with its path and its Authorization.
        most_in_flight: at a time.
    """

    def __init__(
        self,
        form: Callable[[list[Tops]], Any] = as_completion,
        *,
        answer: Callable[[str, int], list[Tops]] = places,
        refuse: Callable[[dict[str, Any]], tuple[int, str] | None] = lambda request: None,
        seconds: float = 0.0,
    ) -> None:
        super().__init__(loop=uvloop.new_event_loop())
        self.seen: list[dict[str, Any]] = []
        self.most_in_flight = 0
        self._form, self._answer, self._refuse, self._seconds = form, answer, refuse, seconds
        self._in_flight = 0

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
                headers = {k.lower(): v for k, _, v in (one.partition(": ") for one in lines)}
                request = json.loads(await reader.readexactly(int(headers["content-length"])))
                told = {"path": line.split()[1], "token": headers.get("authorization")}
                self.seen.append({**request, **told})
                self._in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self._in_flight)
                await asyncio.sleep(self._seconds)
                self._in_flight -= 1
                status, body = self._refuse(request) or (200, self._served(request))
                head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body.encode())}\r\n\r\n"
                writer.write(head.encode() + body.encode())
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _served(self, request: dict[str, Any]) -> str:
        prompt = request.get("prompt") or request["messages"][-1]["content"]
        logprobs = self._form(self._answer(prompt, request["max_tokens"]))
        return json.dumps({"choices": [{"index": 0, "text": "x", "logprobs": logprobs}]})
