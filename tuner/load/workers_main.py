"""A load process: makes its share of each load that it is told of, until whoever started it is gone.

Started as `python -m tuner.load.workers_main FD`, FD being its end of a socket pair. Everything else comes
over the socket, so neither a token nor a prompt is on a command line or in the environment.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
import time
from typing import Any, TypeVar

from tuner.load.event_loop import new_event_loop
from tuner.load.exchange import one_line
from tuner.load.host_usage import HostMeter
from tuner.load.interim import Interim
from tuner.load.target import Target
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

Message = TypeVar("Message")

_LOOK_FOR_PARENT_SECONDS = 1.0


class _Asker:
    """The process that asks. Once it hangs up nothing is left to do: this process ends at once."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._heard: asyncio.Queue[Any] = asyncio.Queue()
        self._listening = asyncio.ensure_future(self._listen())
        self._telling: set[asyncio.Task[None]] = set()

    async def hear(self, kind: type[Message]) -> Message:
        """The next message, which is of that kind."""
        message = await self._heard.get()
        assert isinstance(message, kind), message
        return message

    async def hear_any(self) -> Any:
        """The next message."""
        return await self._heard.get()

    async def say(self, message: object) -> None:
        """Send a message."""
        await self._wire.send(message)

    def tell(self, interim: Interim) -> None:
        """Send what is known so far, without waiting."""
        task = asyncio.ensure_future(self._wire.send(Told(interim)))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def ramped(self) -> float:
        """See `InStep`."""
        await self._wire.send(Ramped())
        return (await self.hear(OpensAt)).at

    async def drained(self) -> None:
        """See `InStep`."""
        await self._wire.send(Drained())
        await self.hear(AllDrained)

    async def _listen(self) -> None:
        try:
            while True:
                self._heard.put_nowait(await self._wire.receive())
        except (EOFError, OSError):
            os._exit(0)


async def _serve(end: socket.socket) -> None:
    wire = await Wire.over(end)
    asker = _Asker(wire)
    try:
        opening = await asker.hear(Opening)
        clock = time.perf_counter
        target = Target(opening.endpoint, opening.workload, opening.api, salt=opening.salt, clock=clock)
        target.adopt(opening.found)
        gc.collect()
        gc.freeze()
        gc.disable()  # a full collection stalls the loop; between loads there is time for it
        await asker.say(Ready())
        while True:
            await _make(target, await asker.hear_any(), asker)
            gc.collect()
    except Exception as error:
        await wire.send(Broken(one_line(f"{type(error).__name__}: {error}")))
        raise


async def _make(target: Target, asked: PassShare | WarmUpShare, asker: _Asker) -> None:
    target.share = asked.share
    if isinstance(asked, WarmUpShare):
        used = time.process_time()
        late = await target.warm_up_share(asked.point, asked.seconds)
        await asker.say(WarmedUp((time.process_time() - used) / asked.seconds, late))
        return
    passed = await target.pass_share(
        asked.point,
        asked.number,
        window_seconds=asked.window_seconds,
        meter=HostMeter(None),
        tell=asker.tell,
        in_step=asker,
    )
    await asker.say(Done(passed))


def _end_with_parent() -> None:
    """Also where the loop is stuck, or another child of the parent holds the socket's other end open."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_FOR_PARENT_SECONDS)
        os._exit(0)

    threading.Thread(target=watch, name="end with the parent", daemon=True).start()


def main() -> None:
    """Serve until the socket closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends this process
    _end_with_parent()
    end = socket.socket(fileno=int(sys.argv[1]))
    new_event_loop().run_until_complete(_serve(end))


if __name__ == "__main__":
    main()
