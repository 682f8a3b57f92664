"""`HttpLoad`: the Load port over OpenAI-style HTTP, one session after another."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from tuner.errors import Cancelled, UserError
from tuner.load.affinity import Pinning, cores_allowed
from tuner.load.answer_prompts import prompts_of
from tuner.load.answers import AnswerRequests
from tuner.load.connection import Clock
from tuner.load.event_loop import new_event_loop
from tuner.load.goodput import Limits
from tuner.load.origin import Origin
from tuner.load.payload import Api
from tuner.load.preparation import probe
from tuner.load.rate_search.blocks import RateBlocks
from tuner.load.rate_search.probe import SloLimit
from tuner.load.round import OnProgress
from tuner.load.round_trip import round_trip_ms
from tuner.load.score_command import score_of
from tuner.load.target import Target
from tuner.load.workers import WorkerCrew
from tuner.load.workers_plan import SpreadPlan
from tuner.load.workers_wire import Opening
from tuner.spec.accuracy import Accuracy
from tuner.spec.faults import Fault
from tuner.spec.workload import Workload
from tuner.trial.answers import Answers
from tuner.trial.ports import Asked, Cancel, Endpoint, LoadError
from tuner.trial.rounds import RoundResult

Result = TypeVar("Result")

_LOOK_AT_CANCEL_SECONDS = 0.1
_NO_SESSION = "no session is open; call open() first"


class HttpLoad:
    """Loads one endpoint after another, as `workload` says. Implements `tuner.trial.ports.Load`.

    It owns an event loop (uvloop's where there is one) that runs only inside its methods; call them from a
    thread in which no other event loop runs, one at a time. What a round costs beyond its windows, for
    each load point: a ramp until every stream has had a first token (at most one window's length), a drain
    until every request of the window has (at most half of it; both at least a second), and milliseconds
    to see the engine at rest again.

    A load point that costs more than half of a core is made by several processes in step, at most as many
    as there are cores for it (the endpoint's load_cpus, else those of this process). They are started when
    the first such point is loaded and end with the session, or with this process however it ends.

    With a rate_search a round is a block of probes: windows of round_seconds at rates that the search
    chooses, which goes on over the rounds of one session. Between two probes the engine is at rest; a round
    ends before its last probe where it does not come to rest (see `rest_seconds`).

    Args:
        api: "completions" (/v1/completions) or "chat" (/v1/chat/completions).
        limits: what one request must keep for goodput; None for no goodput.
        slos: metric -> limit, for a rate_search: what a rate must meet.
        accuracy: what is asked where answers are compared.
        on_progress: called about once a second inside a window with {point, round, elapsed_seconds,
            window_seconds, output_tokens_per_second, ttft_p50_ms, requests, failed}; must be quick.
        processes: make every load with so many, whatever it costs; None to go by the cost.
        clock: seconds, monotonic; wall_clock: Unix time.
    """

    def __init__(
        self,
        workload: Workload,
        *,
        api: Api = "completions",
        limits: Limits | None = None,
        slos: Mapping[str, float] | None = None,
        accuracy: Accuracy | None = None,
        on_progress: OnProgress | None = None,
        processes: int | None = None,
        clock: Clock = time.perf_counter,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._workload = workload
        self._api: Api = api
        self._limits = limits
        self._accuracy = accuracy or Accuracy()
        self._slos: list[SloLimit] = []
        if workload.searched is not None:
            if not slos:
                name = f"load point {workload.searched.name}"
                raise UserError(
                    f"{name}: got a rate_search and no slo; would be right: limits, or a request_rate"
                )
            self._slos = [SloLimit(metric, limit) for metric, limit in slos.items()]
        self._on_progress = on_progress
        self._processes = processes
        self._clock = clock
        self._wall_clock = wall_clock
        self._loop = new_event_loop()
        self._pinning = Pinning()
        self._target: Target | None = None
        self._crew: WorkerCrew | None = None
        self._blocks: RateBlocks | None = None
        self._endpoint: Endpoint | None = None
        self._load = 1.0

    def probe(self, endpoint: Endpoint, *, timeout_seconds: float) -> None:
        """Have one small completion served.

        Raises:
            LoadError: it was not.
        """
        self._run(probe(endpoint, self._spoken, timeout_seconds=timeout_seconds, clock=self._clock))

    def answers(self, endpoint: Endpoint, asked: Asked, *, cancel: Cancel) -> Answers:
        """See `tuner.trial.ports.Load`.

        Raises:
            LoadError: it does not answer, or without log-probabilities, or the command failed.
            Cancelled: `cancel()` said so.
        """
        try:
            prompts = prompts_of(self._accuracy.prompts)
        except Fault as fault:
            raise LoadError(f"accuracy.prompts: {fault}") from fault
        asking = AnswerRequests(
            endpoint,
            self._spoken,
            prompts,
            timeout_seconds=self._workload.request_timeout_seconds,
            clock=self._clock,
        )
        found = self._run(asking.answers(asked.passes), cancel)
        if self._accuracy.command is None or not asked.scored:
            return found
        score = score_of(self._accuracy.command, endpoint, cancel=cancel, clock=self._clock)
        return replace(found, score=score)

    def open(self, endpoint: Endpoint, *, salt: str, load: float = 1.0) -> None:
        """Pin this process to the endpoint's load_cpus, calibrate prompt lengths, open the connections.

        Raises:
            LoadError: the endpoint does not answer, or refuses what the workload asks of it.
        """
        self.close()
        workload = self._workload.at(load)
        self._load = load
        note = self._pinning.pin(endpoint.load_cpus)
        target = Target(endpoint, workload, self._api, salt=salt, clock=self._clock, limits=self._limits)
        target.found.notes += [note] if note else []
        self._target, self._endpoint = target, endpoint
        target.crew = self._crew = WorkerCrew(
            lambda: Opening(endpoint, workload, self._api, salt, target.found),
            plan=SpreadPlan(most=len(endpoint.load_cpus) or cores_allowed(), fixed=self._processes),
        )
        if (searched := self._workload.searched) is not None:
            seconds = self._workload.round_seconds
            self._blocks = RateBlocks(target, searched, self._slos, window_seconds=seconds, clock=self._clock)
        try:
            self._run(target.prepare())
        except BaseException:
            self.close()
            raise

    def warm_up(self, *, seconds: float, cancel: Cancel) -> None:
        """Load as a round does for `seconds`, shared out over the load points, and record nothing.

        Raises:
            Cancelled: `cancel()` said so.
        """
        self._run(self._opened().warm_up(seconds), cancel)

    def run_round(self, number: int, *, cancel: Cancel) -> RoundResult:
        """One pass over all load points, or one block of probes; see `tuner.trial.ports.Load`.

        Raises:
            Cancelled: `cancel()` said so.
            LoadError: while rates are searched, nobody answers at the endpoint any more.
        """
        target = self._opened()
        started, began = self._wall_clock(), self._clock()
        collects = gc.isenabled()
        gc.disable()  # a full collection of a large process stalls the loop for up to a tenth of a second
        try:
            if self._blocks is not None:
                points, rates = self._run(self._blocks.run(number, self._on_progress), cancel)
            else:
                points, rates = self._run(target.run_round(number, self._on_progress), cancel), None
        finally:
            if collects:
                gc.enable()
        return RoundResult(number, started, self._clock() - began, points, rates, self._load)

    def round_trip_ms(self) -> float | None:
        """Of the network, to the session's endpoint and back; None where it cannot be measured."""
        endpoint = self._endpoint
        if endpoint is None:
            raise LoadError(_NO_SESSION)
        return self._run(round_trip_ms(Origin.of(endpoint), clock=self._clock))

    def close(self) -> None:
        """Drop the connections and give the process its cores back. Never raises."""
        target, self._target, self._endpoint, self._blocks = self._target, None, None, None
        crew, self._crew = self._crew, None
        try:
            if crew is not None:
                crew.end()
            if target is not None:
                self._run(target.close())
        finally:
            self._pinning.restore()

    @property
    def _spoken(self) -> Api:
        return "chat" if self._workload.chat else self._api

    def _opened(self) -> Target:
        if self._target is None:
            raise LoadError(_NO_SESSION)
        return self._target

    def _run(self, work: Coroutine[Any, Any, Result], cancel: Cancel | None = None) -> Result:
        try:
            return self._loop.run_until_complete(_unless_cancelled(work, cancel))
        except BaseException:
            self._end_tasks()
            raise

    def _end_tasks(self) -> None:
        """After an interrupt nothing may be left half done in the loop."""
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


async def _unless_cancelled(work: Coroutine[Any, Any, Result], cancel: Cancel | None) -> Result:
    task = asyncio.ensure_future(work)
    try:
        while True:
            done, _ = await asyncio.wait({task}, timeout=_LOOK_AT_CANCEL_SECONDS if cancel else None)
            if done:
                return task.result()
            if cancel is not None and cancel():
                raise Cancelled("the load was cancelled")
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
