"""The round trip of the network between the load and the engine, which every TTFT contains."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

from tuner.load.connection import Clock
from tuner.load.origin import Origin

_TIMES = 5
_LONGEST_SECONDS = 2.0


async def round_trip_ms(origin: Origin, *, clock: Clock) -> float | None:
    """The quickest of five TCP handshakes, which the other side's kernel answers whatever the engine does.

    Returns:
        Milliseconds; None where no handshake came about.
    """
    loop = asyncio.get_running_loop()
    quickest: float | None = None
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
            host, port = str(found[0][4][0]), int(found[0][4][1])
            for _ in range(_TIMES):
                began = clock()
                transport, _protocol = await loop.create_connection(asyncio.Protocol, host, port)
                passed = (clock() - began) * 1e3
                transport.abort()
                quickest = passed if quickest is None else min(quickest, passed)
    except OSError:  # a timeout is one of them
        pass
    return quickest


def is_elsewhere(host: str) -> bool:
    """Whether `host` can be another machine: no loopback address or name."""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"
