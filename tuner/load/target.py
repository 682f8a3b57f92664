"""One session's endpoint: prepared (calibrated, connected), then loaded point by point."""

from __future__ import annotations

import asyncio
import random
import resource

from tuner.load.calibration import PromptLengths, calibrate
from tuner.load.connection import Clock, Connection
from tuner.load.exchange import OK, Exchange
from tuner.load.host_usage import HostMeter, serving_pid
from tuner.load.idle import IdleWatch
from tuner.load.origin import Origin
from tuner.load.payload import Api, Payload
from tuner.load.prompts import PromptText
from tuner.load.request_maker import RequestMaker
from tuner.load.round import OnProgress, Passed, pass_over
from tuner.load.schedule import Lengths, arrival_seconds
from tuner.load.tokenize import tokenize_path_and_body, tokens_in
from tuner.load.traffic import ClosedLoop, OpenLoop, Traffic
from tuner.load.trust import Asked, judge
from tuner.load.window import account
from tuner.spec.workload import LoadPoint, Workload
from tuner.trial.ports import Endpoint, LoadError
from tuner.trial.rounds import PointResult

_PROBE_TOKENS = 4
_OPEN_AT_ONCE = 64
_DESCRIPTORS_FOR_OTHERS = 128
_FIRST_OPEN_LOOP_CONNECTIONS = 8
WARM_UP_ROUND = 0  # rounds count from 1, so its prompts are its own


async def probe(endpoint: Endpoint, api: Api, *, timeout_seconds: float, clock: Clock) -> None:
    """Have one small completion served; raises LoadError where it is not."""
    origin, payload = Origin.of(endpoint), Payload(endpoint.model, api)
    connection = Connection(origin, clock=clock)
    try:
        until = clock() + timeout_seconds
        await _served(
            connection, origin, payload, "ready", max_tokens=_PROBE_TOKENS, until=until, clock=clock
        )
    finally:
        connection.close()


class Target:
    """An endpoint under the load of one workload.

    Attributes:
        fits: load point's name -> how its prompt lengths were calibrated.
        notes: lines that every round's trust record carries.
    """

    def __init__(self, endpoint: Endpoint, workload: Workload, api: Api, *, salt: str, clock: Clock) -> None:
        self.fits: dict[str, PromptLengths] = {}
        self.notes: list[str] = []
        self._endpoint = endpoint
        self._workload = workload
        self._salt = salt
        self._clock = clock
        self._origin = Origin.of(endpoint)
        self._payload = Payload(endpoint.model, api)
        self._text = PromptText()
        self._prefixes: dict[str, str] = {}
        self._connections: list[Connection] = []
        self._most_in_flight = 0
        self._idle_number = 0
        self._idle = IdleWatch(
            metrics_url=endpoint.metrics_url,
            origin=self._origin,
            small_request=self._small_request,
            clock=clock,
        )

    async def prepare(self) -> None:
        """Calibrate the prompt lengths of every point and open the connections.

        Raises:
            LoadError: the endpoint does not answer, or refuses the workload's prompts.
        """
        wanted = max((p.concurrency or 0) for p in self._workload.points)
        self._most_in_flight = _descriptors(wanted + _DESCRIPTORS_FOR_OTHERS) - _DESCRIPTORS_FOR_OTHERS
        if wanted > self._most_in_flight:
            raise LoadError(f"concurrency {wanted} needs more open files than the limit allows (ulimit -n)")
        counting = self._take(1)[0]
        for point in self._workload.points:
            await self._calibrate(counting, point)
        await _open_all(self._take(wanted or _FIRST_OPEN_LOOP_CONNECTIONS))

    async def warm_up(self, seconds: float) -> None:
        """Load as a round does, `seconds` in all, and keep nothing."""
        share = seconds / len(self._workload.points)
        for point in self._workload.points:
            traffic = self._traffic(point, WARM_UP_ROUND)
            try:
                traffic.start()
                await asyncio.sleep(share)
            finally:
                await traffic.stop()
            await self._idle.wait()

    async def run_round(self, number: int, on_progress: OnProgress | None) -> tuple[PointResult, ...]:
        """One pass over all points."""
        return tuple([await self.run_point(p, number, on_progress) for p in self._workload.points])

    async def run_point(
        self,
        point: LoadPoint,
        number: int | str,
        on_progress: OnProgress | None = None,
        *,
        window_seconds: float | None = None,
    ) -> PointResult:
        """One ramp, window and drain under `point`, and the wait for rest after it.

        Args:
            point: one of the workload's points, or one made of it (`model_copy`) with another rate or
                concurrency; by its name it has the calibration that `prepare` made.
            number: with the workload's seed and the point's name it seeds lengths and arrivals, and with
                the salt the prompts. One that was used before sends the same prompts again.
            window_seconds: the window's length; None for the workload's round_seconds.
        """
        meter = HostMeter(serving_pid(self._endpoint.serving))
        await _open_all(self._take(point.concurrency or _FIRST_OPEN_LOOP_CONNECTIONS))
        passed = await pass_over(
            self._traffic(point, number),
            window_seconds=self._workload.round_seconds if window_seconds is None else window_seconds,
            meter=meter,
            clock=self._clock,
            on_progress=_named(on_progress, point.name, number),
        )
        at_rest = await self._idle.wait()
        return self._result(point, passed, at_rest=at_rest)

    async def close(self) -> None:
        """Drop the connections."""
        for connection in self._connections:
            connection.close()
        self._idle.close()
        await asyncio.sleep(0)  # lets the transports close

    def _result(self, point: LoadPoint, passed: Passed, *, at_rest: bool) -> PointResult:
        made = account(passed.exchanges, passed.window)
        trust = judge(
            made,
            Asked(point.concurrency, point.request_rate),
            passed.host,
            lag_ms=passed.lag_ms,
            window_seconds=passed.window.seconds,
            paused_streams=passed.paused_streams,
            notes=(
                *self.notes,
                *([] if at_rest else ["the engine was not at rest 1 s after the load ended"]),
            ),
        )
        return PointResult(
            point=point.name,
            window_seconds=passed.window.seconds,
            requests=made.requests,
            output_tokens=made.output_tokens,
            input_tokens=made.input_tokens,
            errors=made.errors,
            cut=made.cut,
            histograms=made.histograms,
            parts=made.parts,
            trust=trust,
        )

    def _traffic(self, point: LoadPoint, number: int | str) -> Traffic:
        seed = f"{self._workload.seed} {point.name} {number}"
        maker = RequestMaker(
            origin=self._origin,
            payload=self._payload,
            text=self._text,
            lengths=self.fits[point.name],
            salt=self._salt,
            name=f"{point.name} {number}",
            prefix=self._prefixes[point.name],
        )
        timeout_seconds = self._workload.request_timeout_seconds
        if point.concurrency is not None:
            return ClosedLoop(
                connections=self._take(point.concurrency),
                maker=maker,
                lengths=[Lengths(point.lengths, seed=f"{seed} {k}") for k in range(point.concurrency)],
                timeout_seconds=timeout_seconds,
                clock=self._clock,
            )
        ramp, window = f"{seed} ramp", f"{seed} window"
        return OpenLoop(
            connections=self._connections,
            new_connection=lambda: Connection(self._origin, clock=self._clock),
            maker=maker,
            ramp=(Lengths(point.lengths, seed=ramp), arrival_seconds(point, random.Random(ramp))),
            window=(Lengths(point.lengths, seed=window), arrival_seconds(point, random.Random(window))),
            timeout_seconds=timeout_seconds,
            most_in_flight=self._most_in_flight,
            clock=self._clock,
        )

    def _take(self, count: int) -> list[Connection]:
        """The first `count` connections, made where there are fewer."""
        while len(self._connections) < count:
            self._connections.append(Connection(self._origin, clock=self._clock))
        return self._connections[:count]

    async def _calibrate(self, connection: Connection, point: LoadPoint) -> None:
        if point.shared_prefix:
            seed = f"{self._salt} {point.name} prefix"
            self._prefixes[point.name] = self._text.prompt(point.shared_prefix, seed=seed)
        else:
            self._prefixes[point.name] = ""
        mean = max(1, round(point.lengths.mean_tokens()[0]))

        async def by_usage(prompt: str) -> int | None:
            exchange = await self._served(connection, prompt)
            return exchange.prompt_tokens

        async def by_tokenize(prompt: str) -> int | None:
            return await self._tokenized(connection, prompt)

        for source, count in (("usage", by_usage), ("tokenize", by_tokenize)):
            fit = await calibrate(
                count,
                tokens=mean,
                source=source,
                text=self._text,
                prefix=self._prefixes[point.name],
                seed=f"{self._workload.seed} {point.name} lengths",
            )
            if fit.achieved is not None:
                break
        else:
            self.notes.append(f"{point.name}: the server counts no prompt tokens; a word is taken for one")
        self.fits[point.name] = fit

    async def _served(self, connection: Connection, prompt: str) -> Exchange:
        until = self._clock() + self._workload.request_timeout_seconds
        return await _served(
            connection, self._origin, self._payload, prompt, max_tokens=1, until=until, clock=self._clock
        )

    async def _tokenized(self, connection: Connection, prompt: str) -> int | None:
        path, body = tokenize_path_and_body(self._endpoint.model, prompt)
        exchange = Exchange()
        answer = await connection.send(
            self._origin.post(path, body),
            exchange,
            timeout_seconds=self._workload.request_timeout_seconds,
            streamed=False,
        )
        return tokens_in(answer) if exchange.outcome == OK else None

    def _small_request(self) -> bytes:
        self._idle_number += 1
        prompt = self._text.prompt(4, seed=f"{self._salt} idle {self._idle_number}")
        return self._origin.post(self._payload.path, self._payload.body(prompt, max_tokens=1))


async def _served(
    connection: Connection,
    origin: Origin,
    payload: Payload,
    prompt: str,
    *,
    max_tokens: int,
    until: float,
    clock: Clock,
) -> Exchange:
    """Have one completion served; leaves optional fields out that the server refuses by name."""
    while True:
        exchange = Exchange()
        request = origin.post(payload.path, payload.body(prompt, max_tokens=max_tokens))
        await connection.send(request, exchange, timeout_seconds=max(0.001, until - clock()))
        if exchange.outcome == OK:
            return exchange
        if not (exchange.outcome in ("http_400", "http_422") and payload.drop_refused_field(exchange.detail)):
            where = f"POST {origin.address}{origin.base_path}{payload.path}"
            raise LoadError(f"{where}: {exchange.outcome}: {exchange.detail or 'no output'}")


async def _open_all(connections: list[Connection]) -> None:
    """Open what is not open; one that cannot be is met again, and counted, with its first request."""
    for start in range(0, len(connections), _OPEN_AT_ONCE):
        batch = connections[start : start + _OPEN_AT_ONCE]
        await asyncio.gather(*(c.open() for c in batch), return_exceptions=True)


def _named(on_progress: OnProgress | None, point: str, number: int | str) -> OnProgress | None:
    if on_progress is None:
        return None
    return lambda so_far: on_progress({"point": point, "round": number, **so_far})


def _descriptors(wanted: int) -> int:
    """Raise the limit of open files as far as allowed where it is below `wanted`; what it then is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return 1_000_000 if soft == resource.RLIM_INFINITY else soft
