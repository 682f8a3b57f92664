"""One session's endpoint: prepared (calibrated, connected), then loaded point by point."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from tuner.load.connection import Clock, Connection
from tuner.load.connections import Connections, most_connections
from tuner.load.engine_metrics import EngineScraper
from tuner.load.expected_hits import expected_hit_rate
from tuner.load.goodput import Limits
from tuner.load.host_usage import HostMeter, serving_pid
from tuner.load.idle import IdleWatch
from tuner.load.merge import told_of_processes
from tuner.load.origin import Origin
from tuner.load.payload import Api, Payload
from tuner.load.point_result import point_result
from tuner.load.preparation import Prepared, Preparing, read_files
from tuner.load.prompts import PromptText
from tuner.load.round import Crew, InStep, OnInterim, OnProgress, Passed, lag_of, lag_p99_ms, pass_over
from tuner.load.round_trip import is_elsewhere, round_trip_ms
from tuner.load.talking import TalkingConnection
from tuner.load.traffic import WHOLE, Share, Traffic
from tuner.load.traffic_of import streams_of, traffic_of
from tuner.spec.workload import LoadPoint, Workload
from tuner.trial.ports import Endpoint, LoadError
from tuner.trial.rounds import PointResult

_FIRST_OPEN_LOOP_CONNECTIONS = 8
_REST_LOOK_SECONDS = 0.1
WARM_UP_ROUND = 0  # rounds count from 1, so its prompts are its own


class Target:
    """An endpoint under the load of one workload, or under one process's share of it.

    Attributes:
        found: what is known of the endpoint; `prepare` finds it out, or another process did.
        share: what this process makes of a load that it makes by itself.
        limits: of one request, for goodput; None where nobody asks for it.
        crew: the processes that share a load that is too much for this one; None for this one alone.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        workload: Workload,
        api: Api,
        *,
        salt: str,
        clock: Clock,
        share: Share = WHOLE,
        limits: Limits | None = None,
    ) -> None:
        api = "chat" if workload.chat else api
        self.found = Prepared(Payload(endpoint.model, api, workload.sampling.fields()))
        self.crew: Crew | None = None
        self.share = share
        self._limits = limits
        self._round_trip_ms: float | None = None
        self._scraper = EngineScraper(endpoint, clock=clock)
        self._endpoint = endpoint
        self._workload = workload
        self._salt = salt
        self._clock = clock
        self._origin = Origin.of(endpoint)
        self._text = PromptText()
        self._connections = Connections(lambda: Connection(self._origin, clock=clock))
        self._talking = Connections(lambda: TalkingConnection(self._origin, clock=clock))
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
        read_files(self._workload)
        self._allow_connections()
        for point in self._workload.points:
            if -(-self._streams(point) // self._processes(point)) > self._most_in_flight:
                needs = f"concurrency {point.level.peak:g} needs more open files than the limit allows"
                raise LoadError(f"{needs} (ulimit -n)")
        preparing = Preparing(
            self._connections.take(1)[0],
            origin=self._origin,
            model=self._endpoint.model,
            workload=self._workload,
            text=self._text,
            salt=self._salt,
            clock=self._clock,
        )
        for point in self._workload.points:
            await preparing.calibrate(point, self.found)
        if is_elsewhere(self._origin.host):
            self._round_trip_ms = await round_trip_ms(self._origin, clock=self._clock)
        alone = [p for p in self._workload.points if not self._spread(p)]
        await self._connections.open(max(map(self._streams, alone), default=1))

    def adopt(self, found: Prepared) -> None:
        """In place of `prepare`: what another process found out about the same endpoint."""
        self.found = found
        self._allow_connections()

    async def warm_up(self, seconds: float) -> None:
        """Load as a round does, `seconds` in all (0: not at all), and keep nothing."""
        if seconds <= 0:
            return
        each = seconds / len(self._workload.points)
        for point in self._workload.points:
            if self._spread(point):
                assert self.crew is not None
                await self.crew.warm_up(point, each)
            else:
                used = time.process_time()
                late = await self.warm_up_share(point, each)
                self._learn(point, [(time.process_time() - used) / each], late, each)
            await self._idle.wait()

    async def warm_up_share(self, point: LoadPoint, seconds: float) -> float:
        """This process's share of the load of one point, for `seconds`; the loop's lag p99, ms."""
        traffic = self._traffic(point, WARM_UP_ROUND, window_seconds=seconds)
        try:
            traffic.start()
            if point.level.ramps:  # all that a round's window does, in so much time
                traffic.open_window(self._clock())
            return lag_p99_ms(await lag_of(seconds, self._clock))
        finally:
            await traffic.stop()

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
        seconds = self._workload.round_seconds if window_seconds is None else window_seconds
        meter = HostMeter(serving_pid(self._endpoint.serving))
        tell = _named(on_progress, point.name, number)
        self._scraper.start(window_seconds=seconds)
        try:
            if self._spread(point):
                assert self.crew is not None
                passed = await self.crew.pass_over(
                    point, number, window_seconds=seconds, meter=meter, tell=tell
                )
            else:
                passed = await self.pass_share(point, number, window_seconds=seconds, meter=meter, tell=tell)
        finally:
            await self._scraper.stop()
        shares = passed.process_cpu_shares or [passed.host.client_cpu_share]
        self._learn(point, shares, lag_p99_ms(passed.lag_ms), seconds)
        at_rest = await self._idle.wait()
        return self._result(point, passed, number=number, at_rest=at_rest)

    async def pass_share(
        self,
        point: LoadPoint,
        number: int | str,
        *,
        window_seconds: float,
        meter: HostMeter,
        tell: OnInterim | None = None,
        in_step: InStep | None = None,
    ) -> Passed:
        """This process's share of one ramp, window and drain under `point`."""
        await (self._talking if point.converses else self._connections).open(self._streams(point))
        return await pass_over(
            self._traffic(point, number, window_seconds=window_seconds),
            window_seconds=window_seconds,
            meter=meter,
            clock=self._clock,
            on_progress=tell,
            in_step=in_step,
        )

    async def rest(self, *, within_seconds: float) -> bool:
        """Wait until the engine has let go of everything; whether it has.

        For longer than the wait after a round, where a queue grew: an engine that works on requests whose
        answers nobody reads would have the next load queue behind them.

        Raises:
            LoadError: nobody answers at the endpoint any more.
        """
        until = self._clock() + within_seconds
        while (left := until - self._clock()) > 0:
            if await self._idle.wait(left):
                return True
            if self._idle.refused:
                raise LoadError(f"{self._origin.address}: {self._idle.refused}")
            await asyncio.sleep(min(left, _REST_LOOK_SECONDS))
        return False

    async def close(self) -> None:
        """Drop the connections."""
        self._idle.close()
        self._scraper.close()
        await self._talking.close()
        await self._connections.close()

    def _result(self, point: LoadPoint, passed: Passed, *, number: int | str, at_rest: bool) -> PointResult:
        return point_result(
            point,
            passed,
            self._scraper,
            limits=self._limits,
            implied_hit_rate=expected_hit_rate(point, self.found, passed, number=number),
            round_trip_ms=self._round_trip_ms,
            notes=(
                *self.found.notes,
                *told_of_processes(passed),
                *([] if at_rest else ["the engine was not at rest 1 s after the load ended"]),
            ),
        )

    def _traffic(self, point: LoadPoint, number: int | str, *, window_seconds: float) -> Traffic:
        return traffic_of(
            point,
            number,
            window_seconds=window_seconds,
            workload=self._workload,
            found=self.found,
            text=self._text,
            salt=self._salt,
            origin=self._origin,
            connections=self._connections,
            talking=self._talking,
            most_in_flight=self._most_in_flight,
            clock=self._clock,
            share=self.share,
        )

    def _processes(self, point: LoadPoint) -> int:
        return 1 if self.crew is None else self.crew.processes(point)

    def _spread(self, point: LoadPoint) -> bool:
        return self._processes(point) > 1

    def _learn(self, point: LoadPoint, shares: Sequence[float], late_ms: float, seconds: float) -> None:
        if self.crew is not None:
            self.crew.learn(point, shares, lag_p99_ms=late_ms, seconds=seconds)

    def _streams(self, point: LoadPoint) -> int:
        """How many connections this process's share of `point` is opened with."""
        if point.concurrency is None:
            return _FIRST_OPEN_LOOP_CONNECTIONS
        return len(streams_of(point, self.share))

    def _allow_connections(self) -> None:
        self._most_in_flight = most_connections(max(map(self._streams, self._workload.points)))

    def _small_request(self) -> bytes:
        self._idle_number += 1
        payload = self.found.payload
        prompt = self._text.prompt(4, seed=f"{self._salt} idle {self._idle_number}")
        return self._origin.post(payload.path, payload.body(prompt, max_tokens=1))


def _named(on_progress: OnProgress | None, point: str, number: int | str) -> OnInterim | None:
    if on_progress is None:
        return None
    return lambda so_far: on_progress({"point": point, "round": number, **so_far.told()})
