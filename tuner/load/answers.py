"""Asks a deployment for its answers to fixed prompts, with the log-probabilities of their first tokens."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from typing import Any

from tuner.load.answer_reading import NoLogprobs, read_answer
from tuner.load.connection import Clock, Connection
from tuner.load.exchange import OK, Exchange
from tuner.load.origin import Origin
from tuner.load.payload import GREEDY, Api
from tuner.spec.dataset_rows import Message
from tuner.trial.answers import Answer, Answers, difference
from tuner.trial.ports import Endpoint, LoadError

FIRST_TOKENS = 4  # more than one: some engines read a quantised cache only from the second on
LIKELIEST = 5  # tokens at each place; the most that every server allows
AT_ONCE = 8  # prompts, so that every deployment's batches are alike
# Further passes put other prompts beside each other, and another number of them: what an innocent change of
# a batch size does as well.
_AT_ONCE_AGAIN = (32, 2)
MOST_PASSES = 1 + len(_AT_ONCE_AGAIN)
_MOST_UNANSWERED = 0.05  # of the prompts; beyond that the deployment cannot be compared
_OFF = "or accuracy.check: off"


class AnswerRequests:
    """Asks one endpoint.

    Args:
        prompts: messages of a chat; on the completions API the text of the last one is sent.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        api: Api,
        prompts: Sequence[Sequence[Message]],
        *,
        timeout_seconds: float,
        clock: Clock,
    ) -> None:
        self._origin = Origin.of(endpoint)
        self._model = endpoint.model
        self._api = api
        self._prompts = prompts
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._ignores_eos = True

    async def answers(self, passes: int) -> Answers:
        """Every prompt once, and again in each of the further passes (1 to MOST_PASSES in all).

        Where the first of those differs by nothing at all, answers do not hang on the batch, and it is the
        last.

        Raises:
            LoadError: prompts are not answered, or without log-probabilities.
        """
        order = list(range(len(self._prompts)))
        first = await self._pass(order, AT_ONCE)
        again = []
        for number, at_once in enumerate(_AT_ONCE_AGAIN[: passes - 1], start=1):
            shuffled = random.Random(number).sample(order, len(order))
            again.append(difference(first, await self._pass(shuffled, at_once)).nats)
            if not any(again):
                break
        return Answers(tuple(first), tuple(again))

    async def _pass(self, order: Sequence[int], at_once: int) -> list[Answer]:
        found: list[Answer] = [()] * len(order)
        failed: list[str] = []
        left = iter(order)

        async def ask() -> None:
            connection = Connection(self._origin, clock=self._clock)
            try:
                for number in left:  # shared: each takes the next one
                    try:
                        found[number] = await self._answer(connection, self._prompts[number])
                    except LoadError as error:
                        failed.append(str(error))
                        if len(failed) > _MOST_UNANSWERED * len(order):
                            return
            finally:
                connection.close()

        await asyncio.gather(*(ask() for _ in range(min(at_once, len(order)))))
        if len(failed) > _MOST_UNANSWERED * len(order):
            raise LoadError(failed[0])
        return found

    async def _answer(self, connection: Connection, messages: Sequence[Message]) -> Answer:
        while True:
            exchange = Exchange()
            body = await connection.send(
                self._origin.post(self._path, self._body(messages)),
                exchange,
                timeout_seconds=self._timeout_seconds,
                streamed=False,
            )
            if exchange.outcome == OK:
                break
            if exchange.outcome in ("http_400", "http_422") and self._refuses_eos(exchange.detail):
                continue
            said = exchange.detail or "no answer"
            raise LoadError(f"{self._where}: {exchange.outcome}: {said}")
        try:
            return read_answer(body)
        except NoLogprobs as error:
            wanted = f"an engine that sends the {LIKELIEST} likeliest at each token, {_OFF}"
            raise LoadError(f"{self._where}: {error}; would be right: {wanted}") from error

    def _refuses_eos(self, detail: str) -> bool:
        """Leaves `ignore_eos` out from now on where the server names it; whether it did."""
        if not (self._ignores_eos and "ignore_eos" in detail):
            return False
        self._ignores_eos = False
        return True

    @property
    def _path(self) -> str:
        return "/v1/chat/completions" if self._api == "chat" else "/v1/completions"

    @property
    def _where(self) -> str:
        return f"accuracy: POST {self._origin.address}{self._origin.base_path}{self._path}"

    def _body(self, messages: Sequence[Message]) -> bytes:
        asked: dict[str, Any]
        if self._api == "chat":
            asked = {
                "messages": [{"role": role, "content": content} for role, content in messages],
                "logprobs": True,
                "top_logprobs": LIKELIEST,
            }
        else:
            asked = {"prompt": messages[-1][1], "logprobs": LIKELIEST}
        fields = {"model": self._model, "max_tokens": FIRST_TOKENS, **GREEDY, **asked, "stream": False}
        if self._ignores_eos:
            fields["ignore_eos"] = True
        return json.dumps(fields).encode()
