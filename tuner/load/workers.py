"""The load processes of one session: started when a load needs them, in step while loading, ended with it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from tuner.load.connection import Clock
from tuner.load.host_usage import HostMeter, HostUsage
from tuner.load.interim import Interim
from tuner.load.merge import merge_interim, merge_passed
from tuner.load.round import (
    DRAIN_LIMIT_IN_WINDOWS,
    RAMP_LIMIT_IN_WINDOWS,
    OnInterim,
    Passed,
    limit_seconds,
)
from tuner.load.traffic import Share
from tuner.load.workers_plan import SpreadPlan
from tuner.load.workers_wire import (
    AllDrained,
    Broken,
    Done,
    Drained,
    Opening,
    OpensAt,
    PassShare,
    Ramped,
    Ready,
    Told,
    WarmedUp,
    WarmUpShare,
    Wire,
)
from tuner.spec.workload import LoadPoint
from tuner.trial.ports import LoadError

_WINDOW_LEAD_SECONDS = 0.03  # for the word that the window opens to reach every process before it does
_SILENCE_SECONDS = 15.0  # beyond what a step may take: a process that is stopped, or stuck
_START_SECONDS = 30.0
_END_SECONDS = 5.0


class WorkerLost(Exception):
    """A load process ended, or says nothing any more."""


class _Worker:
    """One load process and the wire to it."""

    def __init__(self, process: subprocess.Popen[bytes], wire: Wire) -> None:
        self.process = process
        self._wire = wire

    @classmethod
    async def start(cls) -> _Worker:
        mine, its = socket.socketpair()
        with its:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tuner.load.workers_main", str(its.fileno())],
                pass_fds=(its.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                start_new_session=True,  # a Ctrl-C in the terminal is for the asking process
            )
        return cls(process, await Wire.over(mine))

    async def send(self, message: object) -> None:
        """Send a message; whether it was heard shows in the answer."""
        with suppress(OSError):
            await self._wire.send(message)

    async def answer(self, kind: type, *, within_seconds: float, told: Callable[[Interim], None]) -> Any:
        """The next message of that kind.

        Raises:
            WorkerLost: there will be none.
        """
        try:
            async with asyncio.timeout(within_seconds):
                while True:
                    message = await self._wire.receive()
                    if isinstance(message, kind):
                        return message
                    if isinstance(message, Broken):
                        raise WorkerLost(f"a load process broke: {message.why}")
                    if isinstance(message, Told):
                        told(message.interim)
        except TimeoutError as error:
            raise WorkerLost(f"a load process was silent for {within_seconds:.0f} s") from error
        except (EOFError, OSError) as error:
            raise WorkerLost(f"a load process ended: {self._how_it_ended()}") from error

    def end(self) -> None:
        """Kill it and wait for its end."""
        self._wire.close()
        self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_END_SECONDS)

    def _how_it_ended(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_END_SECONDS)
        code = self.process.returncode
        if code is None:
            return "it hung up"
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


class WorkerCrew:
    """Implements `tuner.load.round.Crew` with processes on this machine.

    A process that is lost in a round takes its share with it: the round is told as lost in part, which makes
    it invalid, and the next one starts a new process. A cancelled round ends all of them.

    Args:
        opening: called when a process starts, as what is known of the endpoint is not known before.
        clock: seconds of the machine's monotonic clock, which is the processes' too.
    """

    def __init__(
        self, opening: Callable[[], Opening], *, plan: SpreadPlan, clock: Clock = time.perf_counter
    ) -> None:
        self._opening = opening
        self._plan = plan
        self._clock = clock
        self._workers: list[_Worker] = []

    @property
    def pids(self) -> list[int]:
        """Of the processes that have been started."""
        return [w.process.pid for w in self._workers]

    def processes(self, point: LoadPoint) -> int:
        """See `Crew`."""
        return self._plan.processes(point)

    def learn(
        self, point: LoadPoint, cpu_shares: Sequence[float], *, lag_p99_ms: float, seconds: float
    ) -> None:
        """See `Crew`."""
        self._plan.learn(point, cpu_shares, lag_p99_ms=lag_p99_ms, seconds=seconds)

    async def warm_up(self, point: LoadPoint, seconds: float) -> None:
        """See `Crew`.

        Raises:
            LoadError: no process was left.
        """
        async with _EndedWhenCut(self):
            step = _Step(await self._gathered(self.processes(point)), tell=None)
            await step.say(lambda share: WarmUpShare(point, share, seconds))
            answers = await step.answers(WarmedUp, seconds)
            self._drop(step.lost_workers)
            late = max(a.lag_p99_ms for a in answers)
            self.learn(point, [a.cpu_share for a in answers], lag_p99_ms=late, seconds=seconds)

    async def pass_over(
        self,
        point: LoadPoint,
        number: int | str,
        *,
        window_seconds: float,
        meter: HostMeter,
        tell: OnInterim | None,
    ) -> Passed:
        """See `Crew`.

        Raises:
            LoadError: no process was left.
        """
        async with _EndedWhenCut(self):
            step = _Step(await self._gathered(self.processes(point)), tell=tell)
            await step.say(lambda share: PassShare(point, number, share, window_seconds))
            await step.answers(Ramped, limit_seconds(window_seconds, RAMP_LIMIT_IN_WINDOWS))
            opens = self._clock() + _WINDOW_LEAD_SECONDS
            await step.say(lambda _: OpensAt(opens))
            metered = asyncio.ensure_future(self._metered(meter, opens, opens + window_seconds))
            drain = limit_seconds(window_seconds, DRAIN_LIMIT_IN_WINDOWS)
            try:
                await step.answers(Drained, _WINDOW_LEAD_SECONDS + window_seconds + drain)
                host = await metered
            finally:
                metered.cancel()
            await step.say(lambda _: AllDrained())
            answers = await step.answers(Done, 0.0)
            self._drop(step.lost_workers)
            return merge_passed([a.passed for a in answers], host=host, lost=step.lost)

    def end(self) -> None:
        """End all processes. Never raises."""
        self._drop(list(self._workers))

    async def _metered(self, meter: HostMeter, opens: float, closes: float) -> HostUsage:
        await asyncio.sleep(max(0.0, opens - self._clock()))
        meter.begin()
        await asyncio.sleep(max(0.0, closes - self._clock()))
        return meter.end()

    async def _gathered(self, count: int) -> list[_Worker]:
        self._drop([w for w in self._workers if w.process.poll() is not None])
        new = []
        for _ in range(count - len(self._workers)):
            new.append(await _Worker.start())
            self._workers.append(new[-1])
        opening = self._opening() if new else None

        async def ready(worker: _Worker) -> None:
            await worker.send(opening)
            await worker.answer(Ready, within_seconds=_START_SECONDS, told=lambda _: None)

        try:
            await asyncio.gather(*(ready(w) for w in new))
        except WorkerLost as error:
            raise LoadError(f"the load's processes do not start: {error}") from error
        return self._workers[:count]

    def _drop(self, workers: Sequence[_Worker]) -> None:
        for worker in workers:
            self._workers.remove(worker)
            worker.end()


class _EndedWhenCut:
    """Ends a crew's processes when what they do is cut short: none may go on loading."""

    def __init__(self, crew: WorkerCrew) -> None:
        self._crew = crew

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._crew.end()


class _Step:
    """The processes that share one load, less those that are lost on the way."""

    def __init__(self, workers: Sequence[_Worker], *, tell: OnInterim | None) -> None:
        self.lost: list[str] = []
        self.lost_workers: list[_Worker] = []
        self._shares = {w: Share(i, len(workers)) for i, w in enumerate(workers)}
        self._tell = tell
        self._interim: dict[_Worker, Interim] = {}
        self._fresh: set[_Worker] = set()

    async def say(self, message: Callable[[Share], object]) -> None:
        """Send each its message."""
        for worker, share in self._shares.items():
            await worker.send(message(share))

    async def answers(self, kind: type, at_most_seconds: float) -> list[Any]:
        """Everybody's next message of a kind.

        Raises:
            LoadError: nobody is left to answer.
        """
        within = at_most_seconds + _SILENCE_SECONDS
        found = await asyncio.gather(
            *(
                self._or_lost(w, w.answer(kind, within_seconds=within, told=self._told(w)))
                for w in self._shares
            )
        )
        if not self._shares:
            raise LoadError(f"none of the load's processes is left: {self.lost[0]}")
        return [answer for answer in found if answer is not None]

    async def _or_lost(self, worker: _Worker, answer: Awaitable[Any]) -> Any:
        try:
            return await answer
        except WorkerLost as error:
            share = self._shares.pop(worker)
            self.lost.append(f"{error} (share {share.index + 1} of {share.of})")
            self.lost_workers.append(worker)
            return None

    def _told(self, worker: _Worker) -> Callable[[Interim], None]:
        def told(interim: Interim) -> None:
            self._interim[worker] = interim
            self._fresh.add(worker)
            if self._tell is not None and self._fresh >= set(self._shares):
                self._fresh.clear()
                self._tell(merge_interim([self._interim[w] for w in self._shares]))

        return told
