"""Makes the requests of one round of one load point."""

from __future__ import annotations

from collections.abc import Sequence

from tuner.load.exchange import Exchange
from tuner.load.origin import Origin
from tuner.load.payload import Payload, Prompt
from tuner.load.schedule import Ask
from tuner.load.writers import Writer


class RequestMaker:
    """Turns asks into requests: what they say depends on the salt, how long they are does not.

    Args:
        writers: one for each kind of the load point's requests.
        name: of the round and point; with `salt` and the request's own name it seeds what is generated.
    """

    def __init__(
        self, *, origin: Origin, payload: Payload, writers: Sequence[Writer], salt: str, name: str
    ) -> None:
        self._origin = origin
        self._payload = payload
        self._writers = writers
        self._seed = f"{salt} {name}"

    def make(
        self, name: str, tokens: Ask, *, left: int | None = None, intended: float | None = None
    ) -> tuple[Exchange, bytes]:
        """The request named `name` that asks for `tokens`, and the record of it.

        Args:
            left: ask for only so much of the output: a request met on its way.
            intended: when it is to be sent (open loop).
        """
        prompt = self._writers[tokens.part].prompt(tokens, seed=f"{self._seed} {name}")
        return self.request(prompt, tokens, left=left, intended=intended)

    def request(
        self, prompt: Prompt, ask: Ask, *, left: int | None = None, intended: float | None = None
    ) -> tuple[Exchange, bytes]:
        """The same for a prompt that is there already."""
        body = self._payload.body(prompt, max_tokens=ask.output_tokens if left is None else left)
        exchange = Exchange(
            intended=intended,
            asked_tokens=ask[:2],
            carried_tokens=ask.input_tokens - ask.new_tokens if ask.turn else 0,
            shortened=left is not None,
        )
        return exchange, self._origin.post(self._payload.path, body)
