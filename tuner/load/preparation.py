"""What a session finds out about its endpoint before it loads it: that it serves, and lengths of prompts."""

from __future__ import annotations

from dataclasses import dataclass, field

from tuner.load.calibration import PromptLengths, calibrate
from tuner.load.connection import Clock, Connection
from tuner.load.exchange import OK, Exchange
from tuner.load.origin import Origin
from tuner.load.payload import Api, Payload
from tuner.load.prompts import PromptText
from tuner.load.tokenize import tokenize_path_and_body, tokens_in
from tuner.spec.workload import LoadPoint, Workload
from tuner.trial.ports import Endpoint, LoadError

_PROBE_TOKENS = 4


@dataclass(slots=True)
class Prepared:
    """What was found out. It goes to other processes as it is.

    Attributes:
        payload: knows which optional fields the server refused.
        fits: load point's name -> how its prompt lengths were calibrated.
        prefixes: load point's name -> what its prompts start with; "" for nothing.
        notes: lines that every round's trust record carries.
    """

    payload: Payload
    fits: dict[str, PromptLengths] = field(default_factory=dict)
    prefixes: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


async def probe(endpoint: Endpoint, api: Api, *, timeout_seconds: float, clock: Clock) -> None:
    """Have one small completion served; raises LoadError where it is not."""
    origin, payload = Origin.of(endpoint), Payload(endpoint.model, api)
    connection = Connection(origin, clock=clock)
    try:
        until = clock() + timeout_seconds
        await served(connection, origin, payload, "ready", max_tokens=_PROBE_TOKENS, until=until, clock=clock)
    finally:
        connection.close()


class Preparing:
    """Calibrates the prompt lengths of a workload's points by having the server count."""

    def __init__(
        self,
        connection: Connection,
        *,
        origin: Origin,
        model: str,
        workload: Workload,
        text: PromptText,
        salt: str,
        clock: Clock,
    ) -> None:
        self._connection = connection
        self._origin = origin
        self._model = model
        self._workload = workload
        self._text = text
        self._salt = salt
        self._clock = clock

    async def calibrate(self, point: LoadPoint, found: Prepared) -> None:
        """Add to `found` what concerns `point`.

        Raises:
            LoadError: the endpoint does not answer, or refuses the prompts.
        """
        prefix = ""
        if point.shared_prefix:
            prefix = self._text.prompt(point.shared_prefix, seed=f"{self._salt} {point.name} prefix")
        mean = max(1, round(point.lengths.mean_tokens()[0]))

        async def by_usage(prompt: str) -> int | None:
            until = self._clock() + self._workload.request_timeout_seconds
            return (
                await served(
                    self._connection,
                    self._origin,
                    found.payload,
                    prompt,
                    max_tokens=1,
                    until=until,
                    clock=self._clock,
                )
            ).prompt_tokens

        for source, count in (("usage", by_usage), ("tokenize", self._tokenized)):
            fit = await calibrate(
                count,
                tokens=mean,
                source=source,
                text=self._text,
                prefix=prefix,
                seed=f"{self._workload.seed} {point.name} lengths",
            )
            if fit.achieved is not None:
                break
        else:
            found.notes.append(f"{point.name}: the server counts no prompt tokens; a word is taken for one")
        found.fits[point.name], found.prefixes[point.name] = fit, prefix

    async def _tokenized(self, prompt: str) -> int | None:
        path, body = tokenize_path_and_body(self._model, prompt)
        exchange = Exchange()
        answer = await self._connection.send(
            self._origin.post(path, body),
            exchange,
            timeout_seconds=self._workload.request_timeout_seconds,
            streamed=False,
        )
        return tokens_in(answer) if exchange.outcome == OK else None


async def served(
    connection: Connection,
    origin: Origin,
    payload: Payload,
    prompt: str,
    *,
    max_tokens: int,
    until: float,
    clock: Clock,
) -> Exchange:
    """Have one completion served; leaves optional fields out that the server refuses by name.

    Raises:
        LoadError: it was not.
    """
    while True:
        exchange = Exchange()
        request = origin.post(payload.path, payload.body(prompt, max_tokens=max_tokens))
        await connection.send(request, exchange, timeout_seconds=max(0.001, until - clock()))
        if exchange.outcome == OK:
            return exchange
        if not (exchange.outcome in ("http_400", "http_422") and payload.drop_refused_field(exchange.detail)):
            where = f"POST {origin.address}{origin.base_path}{payload.path}"
            raise LoadError(f"{where}: {exchange.outcome}: {exchange.detail or 'no output'}")
