"""Which traffic a load point is: streams or arrivals, of lone requests or of conversations."""

from __future__ import annotations

from tuner.load.connection import Clock
from tuner.load.connections import Connections
from tuner.load.conversations import Conversing, TalkingConnections
from tuner.load.loading import Loading
from tuner.load.request_maker import RequestMaker
from tuner.load.traffic import ClosedLoop, OpenLoop, Share, Traffic
from tuner.spec.workload import LoadPoint


def streams_of(point: LoadPoint, share: Share) -> range:
    """Which of a closed loop's streams are in `share`, those that begin later among them."""
    return share.numbers(round(point.level.peak))


def traffic_of(
    point: LoadPoint,
    loading: Loading,
    maker: RequestMaker,
    *,
    connections: Connections,
    talking: TalkingConnections,
    salt: str,
    timeout_seconds: float,
    most_in_flight: int,
    clock: Clock,
    share: Share,
) -> Traffic:
    """One process's share of one round of `point`.

    Args:
        connections: of lone requests; talking: of conversations.
        most_in_flight: of an open loop; see there.
    """
    if point.concurrency is None:
        return OpenLoop(
            connections=connections.free,
            new_connection=connections.new,
            maker=maker,
            ramp=loading.ramp(),
            window=loading.window(),
            timeout_seconds=timeout_seconds,
            most_in_flight=most_in_flight,
            clock=clock,
            share=share,
        )
    streams, starts = streams_of(point, share), loading.starts()
    if loading.converses:
        return Conversing(
            connections=talking.take(len(streams)),
            maker=maker,
            loading=loading,
            starts=[starts[k] for k in streams],
            salt=salt,
            timeout_seconds=timeout_seconds,
            clock=clock,
            share=share,
        )
    return ClosedLoop(
        connections=connections.take(len(streams)),
        maker=maker,
        lengths=[loading.stream(k) for k in streams],
        starts=[starts[k] for k in streams],
        timeout_seconds=timeout_seconds,
        clock=clock,
        share=share,
    )
