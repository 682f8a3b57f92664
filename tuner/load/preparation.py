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
from tuner.spec.content import Content
from tuner.spec.faults import Fault
from tuner.spec.workload import LoadPoint, Workload
from tuner.trial.ports import Endpoint, LoadError

_PROBE_TOKENS = 4
_PROBE_WORDS = 24  # of a chat that sends a file's messages: its template is counted nevertheless


@dataclass(slots=True)
class Prepared:
    """What was found out. It goes to other processes as it is.

    Attributes:
        payload: knows which optional fields the server refused.
        fits: load point's name -> how its prompt lengths were calibrated; of the parts of a mix after the
            first also `<name> <part's index>`.
        prefixes: the same -> what its prompts start with; "" for nothing.
        notes: lines that every round's trust record carries.
    """

    payload: Payload
    fits: dict[str, PromptLengths] = field(default_factory=dict)
    prefixes: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def fits_of(self, point: LoadPoint) -> list[PromptLengths]:
        """How the lengths of each of the point's kinds of requests were calibrated."""
        return [self.fits[_key(point, part)] for part in range(len(point.parts))]

    def prefixes_of(self, point: LoadPoint) -> list[str]:
        """What each of them starts with."""
        return [self.prefixes[_key(point, part)] for part in range(len(point.parts))]


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
        for index, part in enumerate(point.parts):
            key = _key(point, index)
            found.fits[key], found.prefixes[key] = PromptLengths(), ""
            if part.dataset is None:
                await self._calibrate(key, part, found)
            elif self._workload.chat:
                found.fits[key] = await self._fit(_PROBE_WORDS, "", f"{key} template", found.payload)
            else:
                await self._served("ready", found.payload)  # learns which optional fields are refused

    async def _calibrate(self, key: str, part: Content, found: Prepared) -> None:
        mean = max(1, round(part.lengths.mean_tokens()[0]))
        if part.shared_prefix:
            found.prefixes[key] = await self._prefix(key, part.shared_prefix, found.payload)
        fit = await self._fit(mean, found.prefixes[key], f"{key} lengths", found.payload)
        found.fits[key] = fit
        if fit.source == "words":
            found.notes.append(f"{key}: the server counts no prompt tokens; a word is taken for one")

    async def _prefix(self, key: str, tokens: int, payload: Payload) -> str:
        """A text of so many tokens, as the server counts them within a prompt."""
        fit = await self._fit(tokens, "", f"{key} prefix", payload)
        words, trims = PromptLengths(0.0, fit.per_word, fit.per_trim, fit.source).words(tokens)
        return self._text.prompt(words, seed=f"{self._salt} {key} prefix", trims=trims)

    async def _served(self, prompt: str, payload: Payload) -> Exchange:
        until = self._clock() + self._workload.request_timeout_seconds
        return await served(
            self._connection, self._origin, payload, prompt, max_tokens=1, until=until, clock=self._clock
        )

    async def _fit(self, tokens: int, prefix: str, name: str, payload: Payload) -> PromptLengths:
        """Fitted near `tokens`, by usage or /tokenize; the default one where neither counts."""

        async def by_usage(prompt: str) -> int | None:
            return (await self._served(prompt, payload)).prompt_tokens

        for source, count in (("usage", by_usage), ("tokenize", self._tokenized)):
            fit = await calibrate(
                count,
                tokens=tokens,
                source=source,
                text=self._text,
                prefix=prefix,
                seed=f"{self._workload.seed} {name}",
            )
            if fit.achieved is not None:
                break
        return fit

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


def read_files(workload: Workload) -> None:
    """Have the workload's files read where the load is made.

    Raises:
        LoadError: one is not there, or is not the one that the experiment was made with.
    """
    for point in workload.points:
        for file in (point.trace, *(part.dataset for part in point.parts)):
            try:
                if file is not None:
                    _ = file.rows
            except Fault as fault:
                raise LoadError(f"{point.name}: {file.path if file else ''}: {fault}") from fault


def _key(point: LoadPoint, part: int) -> str:
    return f"{point.name} {part}" if part else point.name


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
