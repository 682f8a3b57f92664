"""Makes the requests of one round of one load point."""

from __future__ import annotations

from tuner.load.calibration import PromptLengths
from tuner.load.exchange import Exchange
from tuner.load.origin import Origin
from tuner.load.payload import Payload
from tuner.load.prompts import PromptText


class RequestMaker:
    """Turns lengths into requests: a new prompt for each, lengths that do not depend on the salt.

    Args:
        name: of the round and point; with `salt` and the request's own name it seeds the prompt.
        prefix: what all prompts of the point start with; "" for nothing.
    """

    def __init__(
        self,
        *,
        origin: Origin,
        payload: Payload,
        text: PromptText,
        lengths: PromptLengths,
        salt: str,
        name: str,
        prefix: str = "",
    ) -> None:
        self._origin = origin
        self._payload = payload
        self._text = text
        self._lengths = lengths
        self._seed = f"{salt} {name}"
        self._prefix = prefix

    def make(
        self, name: str, tokens: tuple[int, int], *, left: int | None = None, intended: float | None = None
    ) -> tuple[Exchange, bytes]:
        """The request named `name` of (input, output) `tokens`, and the record of it.

        Args:
            left: ask for only so much of the output: a request met on its way.
            intended: when it is to be sent (open loop).
        """
        words, trims = self._lengths.words(tokens[0])
        prompt = self._text.prompt(words, seed=f"{self._seed} {name}", trims=trims, prefix=self._prefix)
        body = self._payload.body(prompt, max_tokens=tokens[1] if left is None else left)
        exchange = Exchange(intended=intended, asked_tokens=tokens, shortened=left is not None)
        return exchange, self._origin.post(self._payload.path, body)
