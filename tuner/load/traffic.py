"""What keeps requests coming: streams (closed loop) or arrivals (open loop), whatever they send."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Protocol

from tuner.load.connection import Clock
from tuner.load.exchange import Exchange

CLIENT_LIMIT = "client_limit"  # an arrival for which the client had no connection left
FIRST_PAUSE_SECONDS = 0.1  # of a stream after a failure: without one, refusals would be counted in thousands
LONGEST_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Share:
    """What one of `of` processes makes of a load: each `of`-th stream or arrival, from `index` on.

    Streams and arrivals keep the numbers that they have in the whole, and with them their lengths, prompts
    and times: all shares together are the load that one process would make.
    """

    index: int = 0
    of: int = 1

    def has(self, number: int) -> bool:
        """Whether the stream or arrival of that number is in it."""
        return number % self.of == self.index

    def numbers(self, count: int) -> range:
        """Its numbers among the first `count`."""
        return range(self.index, count, self.of)


WHOLE = Share()


@dataclass(slots=True)
class Pause:
    """When a stream stayed idle; `end` is None while it lasts."""

    start: float
    end: float | None = None


class Traffic(Protocol):
    """Requests that come until they are stopped.

    Attributes:
        exchanges: every request so far, in the order in which they were made.
        pauses: the times that streams stayed idle after a failure.
        steady: set once the ramp has done its work.
    """

    exchanges: list[Exchange]
    pauses: list[Pause]
    steady: asyncio.Event

    def start(self) -> None:
        """Begin the ramp."""
        ...

    def open_window(self, at: float) -> None:
        """The window opens at `at`."""
        ...

    async def stop(self) -> None:
        """Send no more, drop what is in flight."""
        ...


class Streams:
    """Of a closed loop: so many at a time, each one request after another until it is stopped.

    The ramp is over when the first request of every stream that begins in it has given output or failed: from
    then on all places of the engine, and its queue, are filled as they will stay. Where the concurrency
    ramps, further streams begin inside the window.

    Args:
        starts: when each stream begins: None for the ramp, else seconds after the window's opening.
    """

    def __init__(self, *, starts: Sequence[float | None], clock: Clock, share: Share) -> None:
        self.exchanges: list[Exchange] = []
        self.pauses: list[Pause] = []
        self.steady = asyncio.Event()
        self._starts = starts
        self._clock = clock
        self._share = share
        self._not_begun = {index for index, start in enumerate(starts) if start is None}
        if not self._not_begun:
            self.steady.set()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin the ramp."""
        self._tasks = [
            _task(self._stream(index)) for index, start in enumerate(self._starts) if start is None
        ]

    def open_window(self, at: float) -> None:
        """The window opens at `at`: what begins inside it is on its way."""
        late = [(index, start) for index, start in enumerate(self._starts) if start is not None]
        self._tasks += [_task(self._begun_at(at + start, index)) for index, start in late]

    async def stop(self) -> None:
        """Send no more, drop what is in flight."""
        await _cancelled(self._tasks)

    async def _stream(self, index: int) -> None:
        """One stream, without end."""
        raise NotImplementedError

    async def _begun_at(self, moment: float, index: int) -> None:
        await sleep_until(moment, self._clock)
        await self._stream(index)

    def _number(self, index: int) -> int:
        """The stream's number in the whole."""
        return self._share.index + index * self._share.of

    def _begun(self, index: int) -> Callable[[Exchange], None]:
        """What the stream's first output, or failure, calls."""

        def begun(_: Exchange) -> None:
            self._not_begun.discard(index)
            if not self._not_begun:
                self.steady.set()

        return begun

    async def _idle(self, seconds: float) -> None:
        """Send nothing for so long, and tell it as a pause."""
        if seconds <= 0:
            return
        self.pauses.append(Pause(self._clock()))
        idle = self.pauses[-1]
        await asyncio.sleep(seconds)
        idle.end = self._clock()


class Arrivals:
    """Of an open loop: what begins at scheduled times, however long answers take.

    The ramp has arrivals of its own. The window's count from its opening, so they are the same for every
    trial; what is under way then goes on.

    Args:
        most_in_flight: requests beyond it are not sent, and counted as failed (`client_limit`).
    """

    def __init__(self, *, most_in_flight: int, clock: Clock, share: Share) -> None:
        self.exchanges: list[Exchange] = []
        self.pauses: list[Pause] = []
        self.steady = asyncio.Event()
        self._most_in_flight = most_in_flight
        self._clock = clock
        self._share = share
        self._arrivals: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin the ramp."""
        self._begin("ramp", self._clock())

    def open_window(self, at: float) -> None:
        """The window opens at `at`: its own arrivals begin."""
        self._begin("window", at)

    async def stop(self) -> None:
        """Send no more, drop what is in flight."""
        await _cancelled([*self._tasks, *([self._arrivals] if self._arrivals else [])])

    async def _arrive(self, name: str, start: float) -> None:
        """Begin what arrives from `start` on; `name` is ramp or window."""
        raise NotImplementedError

    def _begin(self, name: str, start: float) -> None:
        if self._arrivals is not None:
            self._arrivals.cancel()
        self._arrivals = _task(self._arrive(name, start))

    def _refused(self, exchange: Exchange, *, in_flight: int) -> bool:
        """Whether there are too many for one more; then it has failed."""
        if in_flight < self._most_in_flight:
            return False
        exchange.end(CLIENT_LIMIT, self._clock(), f"{self._most_in_flight} requests in flight already")
        return True

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = _task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def sleep_until(moment: float, clock: Clock) -> None:
    """Return at `moment` of the clock, at once where that has passed."""
    while (wait := moment - clock()) > 0:
        await asyncio.sleep(wait)


def _task(work: Coroutine[None, None, None]) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(work)


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
