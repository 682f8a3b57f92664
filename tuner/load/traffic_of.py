"""Which traffic a load point is: streams or arrivals, of lone requests or of conversations."""

from __future__ import annotations

from tuner.load.arriving_conversations import ArrivingConversations
from tuner.load.connection import Clock, Connection
from tuner.load.connections import Connections
from tuner.load.conversations import Conversing
from tuner.load.loading import Loading
from tuner.load.lone_requests import ClosedLoop, OpenLoop
from tuner.load.origin import Origin
from tuner.load.preparation import Prepared
from tuner.load.prompts import PromptText
from tuner.load.request_maker import RequestMaker
from tuner.load.talking import TalkingConnection
from tuner.load.traffic import Share, Traffic
from tuner.spec.workload import LoadPoint, Workload


def streams_of(point: LoadPoint, share: Share) -> range:
    """Which of a closed loop's streams are in `share`, those that begin later among them."""
    return share.numbers(round(point.level.peak))


def traffic_of(
    point: LoadPoint,
    number: int | str,
    *,
    window_seconds: float,
    workload: Workload,
    found: Prepared,
    text: PromptText,
    salt: str,
    origin: Origin,
    connections: Connections[Connection],
    talking: Connections[TalkingConnection],
    most_in_flight: int,
    clock: Clock,
    share: Share,
) -> Traffic:
    """One process's share of one round of `point`.

    Args:
        number: of the round, and `window_seconds` its window; see `Loading`.
        connections: of lone requests; `talking`: of conversations.
        most_in_flight: of an open loop; see there.
    """
    loading = Loading(
        point, number, workload=workload, found=found, text=text, salt=salt, window_seconds=window_seconds
    )
    maker = RequestMaker(
        origin=origin, payload=found.payload, writers=loading.writers, salt=salt, name=loading.name
    )
    timeout_seconds = workload.request_timeout_seconds
    if point.concurrency is None and loading.converses:
        return ArrivingConversations(
            connections=talking,
            maker=maker,
            loading=loading,
            salt=salt,
            timeout_seconds=timeout_seconds,
            most_in_flight=most_in_flight,
            clock=clock,
            share=share,
        )
    if point.concurrency is None:
        return OpenLoop(
            connections=connections,
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
