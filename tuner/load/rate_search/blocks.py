"""Rounds of a search over rates on one session: a block of probes each, one search over all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tuner.load.rate_search.answer import RateAnswer
from tuner.load.rate_search.probe import Probe, Share, SloLimit
from tuner.load.rate_search.probing import Probed, probed, rest_seconds
from tuner.load.rate_search.search import RateSearch
from tuner.load.round import OnProgress
from tuner.load.target import Target
from tuner.spec.workload import LoadPoint
from tuner.trial.rate_rounds import ProbeRecord, RateRound
from tuner.trial.rounds import PointResult


class RateBlocks:
    """The search over rates of one session; a block is a round.

    Args:
        point: with a rate_search; probes are windows of it at other rates.
        slos: that a rate must meet, at least one.
        window_seconds: of each probe.
    """

    def __init__(
        self,
        target: Target,
        point: LoadPoint,
        slos: Sequence[SloLimit],
        *,
        window_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        assert point.rate_search is not None
        self._target = target
        self._point = point
        self._range = point.rate_search
        self._slos = tuple(slos)
        self._window_seconds = window_seconds
        self._clock = clock
        self._search = RateSearch(low=self._range.low, high=self._range.high)

    async def run(
        self, number: int, on_progress: OnProgress | None
    ) -> tuple[tuple[PointResult, ...], RateRound]:
        """One block; the window that stands for it (none where all were ended early), and what is known.

        It ends where the engine does not come to rest in time: a probe on top of an old queue would say
        nothing, and add to it.

        Args:
            number: of the round; with the workload's seed it seeds the probes' lengths and arrivals.

        Raises:
            LoadError: nobody answers at the endpoint any more.
        """
        made: list[Probed] = []
        within_seconds = rest_seconds(self._window_seconds)
        at_rest = await self._target.rest(within_seconds=within_seconds)
        for count in range(1, self._range.probes + 1):
            if not at_rest:
                break
            made.append(
                await probed(
                    self._target,
                    self._point,
                    self._slos,
                    rate=self._search.next_rate(),
                    name=f"probe {number}.{count}",
                    window_seconds=self._window_seconds,
                    clock=self._clock,
                    on_progress=on_progress,
                )
            )
            at_rest = made[-1].at_rest
            self._search.add(made[-1].probe)
        answer = self._search.answer()
        standing = _standing(made, answer)
        cut = "" if at_rest else f"the engine was not at rest {within_seconds:g} s after its last requests"
        return (standing,) if standing is not None else (), self._told(made, answer, cut)

    def _told(self, made: Sequence[Probed], answer: RateAnswer, cut: str) -> RateRound:
        return RateRound(
            probes=tuple(_record(m.probe) for m in made),
            range_low=self._range.low,
            range_high=self._range.high,
            allowed={s.metric: s.allowed for s in self._slos},
            rate=answer.rate,
            low=answer.low,
            high=answer.high,
            binding=answer.binding,
            cliff=answer.cliff,
            usable=answer.probes,
            made=len(self._search.probes),
            cut=cut,
        )


def _record(probe: Probe) -> ProbeRecord:
    return ProbeRecord(
        rate=probe.rate,
        late={metric: _late(share) for metric, share in probe.shares.items()},
        requests=max(share.of for share in probe.shares.values()),
        seconds=probe.seconds,
        over_saturated=probe.over_saturated,
        ended_early=probe.cut_short,
        unusable=probe.why,
    )


def _late(share: Share) -> float:
    return share.late / share.of if share.of else 1.0


def _standing(made: Sequence[Probed], answer: RateAnswer) -> PointResult | None:
    """The window at the highest rate that the limits let through, not above the answer where one is not."""
    whole = [(m.probe, m.point) for m in made if m.point is not None]
    able = [pair for pair in whole if pair[0].usable] or whole
    met = [pair for pair in able if pair[0].met]
    below = [pair for pair in met if pair[0].rate <= answer.low]
    if below:
        return max(below, key=lambda pair: pair[0].rate)[1]
    return min(met or able, key=lambda pair: pair[0].rate)[1] if able else None
