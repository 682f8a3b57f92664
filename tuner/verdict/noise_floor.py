"""What a validation can see: the smallest gain that its blocks show, judged by how the baseline scatters.

A validation of b blocks deploys a arms once in each. With s the standard deviation of one deployment's log
objective (two arms of a block share what the machine did at the time, so only what is a deployment's own
counts) a gain of d = log(1 + gain) is shown, its 95 % interval wholly above 0, with the probability of a
noncentral t of (a - 1)(b - 1) degrees of freedom and the noncentrality d sqrt(b / 2) / s beyond the 97.5 %
quantile of the central one (N. L. Johnson and B. L. Welch, "Applications of the non-central
t-distribution", Biometrika 31, 1940, pages 362-389). The floor is the gain for which that is 80 %, of one
candidate that is known beforehand; choosing among several costs a little more.

s is made of two parts: s^2 = between deployments + of a round / rounds. Rounds of one deployment tell the
second alone; the first takes a second deployment, so it is a lower bound until then. The parts are
estimated by one-way analysis of variance, the first cut off at 0 and the rounds then pooled (S. R. Searle,
G. Casella and C. E. McCulloch, "Variance Components", 1992, section 3.6).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from tuner.trial.batch_means import widening
from tuner.verdict.gain import student_quantile

POWER = 0.8
MOST_FINER = 0.10  # a validation that does not see a tenth is of little use
_SURE = 0.8  # of the interval of the scatter: few rounds tell it badly
_MOST_BLOCKS, _MOST_TIMES_ROUNDS = 64, 32  # that are looked at for a finer floor


@dataclass(frozen=True, slots=True)
class Scatter:
    """How one configuration measured against itself scatters; standard deviations of logs.

    Attributes:
        round: of a round around its deployment; 0 where no deployment has two rounds.
        between: of deployments beyond what their rounds explain; NaN where only one was measured.
        degrees: of freedom that a deployment's scatter is judged by.
        rounds: that it is judged by.
        deployments: as `rounds`.
    """

    round: float
    between: float
    degrees: int
    rounds: int
    deployments: int

    @property
    def between_known(self) -> bool:
        """Whether deployments could be compared."""
        return not math.isnan(self.between)

    def of_deployment(self, rounds: int) -> float:
        """Of a deployment's mean over so many rounds; without the part between deployments while unknown."""
        between = self.between if self.between_known else 0.0
        return math.hypot(between, self.round / math.sqrt(rounds))

    @property
    def factors(self) -> tuple[float, float]:
        """By what the true scatter may be lower and higher, with 80 % (chi-square)."""
        from scipy.special import chdtri  # noqa: PLC0415  scipy.stats would cost a second of every start

        tail = (1 - _SURE) / 2
        ends = (float(chdtri(self.degrees, p)) for p in (tail, 1 - tail))
        low, high = (math.sqrt(self.degrees / end) for end in ends)
        return low, high


def scatter_of(deployments: Sequence[Sequence[float]], *, at: Sequence[float] = ()) -> Scatter | None:
    """The scatter of the baseline's deployments, each the logs of its rounds; None where nothing tells it.

    Where a single deployment has rounds that hang together, their scatter is widened by what that hides.

    Args:
        at: when each was measured, where the run drifted: of three and more, what changes slowly is taken
            out, as blocks take it out.
    """
    groups = [list(g) for g in deployments if g]
    rounds = sum(map(len, groups))
    count, within_degrees = len(groups), rounds - len(groups)
    if not groups or (count == 1 and within_degrees < 1):
        return None
    means = [math.fsum(g) / len(g) for g in groups]
    within = math.fsum((v - m) ** 2 for g, m in zip(groups, means, strict=True) for v in g)
    if count == 1:
        own = math.sqrt(within / within_degrees) * widening(groups[0])
        return Scatter(own, math.nan, within_degrees, rounds, 1)
    if at and count >= 3:
        return _apart_from_drift(groups, means, at, within, within_degrees)
    grand = math.fsum(v for g in groups for v in g) / rounds
    between = math.fsum(len(g) * (m - grand) ** 2 for g, m in zip(groups, means, strict=True))
    of_round = within / within_degrees if within_degrees else 0.0
    of_means = between / (count - 1)
    if within_degrees and of_means <= of_round:
        pooled = (within + between) / (rounds - 1)
        return Scatter(math.sqrt(pooled), 0.0, rounds - 1, rounds, count)
    size = (rounds - sum(len(g) ** 2 for g in groups) / rounds) / (count - 1)
    excess = math.sqrt((of_means - of_round) / size)
    return Scatter(math.sqrt(of_round), excess, count - 1, rounds, count)


def _apart_from_drift(
    groups: Sequence[Sequence[float]],
    means: Sequence[float],
    at: Sequence[float],
    within: float,
    within_degrees: int,
) -> Scatter:
    """By how far each deployment lies off the line between its neighbours in time.

    T. Gasser, L. Sroka and C. Jennen-Steinmetz, "Residual variance and residual pattern in nonlinear
    regression", Biometrika 73, 1986, pages 625-633.
    """
    order = sorted(range(len(means)), key=lambda i: at[i])
    squares = []
    for before, here, after in zip(order, order[1:], order[2:], strict=False):
        whole = at[after] - at[before]
        share = (at[here] - at[before]) / whole if whole > 0 else 0.5
        off = means[here] - (1 - share) * means[before] - share * means[after]
        squares.append(off * off / (1 + (1 - share) ** 2 + share**2))
    of_round = within / within_degrees if within_degrees else 0.0
    size = len(groups) / math.fsum(1 / len(g) for g in groups)
    excess = max(0.0, math.fsum(squares) / len(squares) - of_round / size)
    rounds = sum(map(len, groups))
    return Scatter(math.sqrt(of_round), math.sqrt(excess), len(squares), rounds, len(groups))


@dataclass(frozen=True, slots=True)
class Design:
    """A validation, and what it costs.

    Attributes:
        arms: configurations, the baseline among them.
        blocks: deployments of each.
        rounds: of each deployment.
        round_seconds: of one round, over all load points.
        other_seconds: of a deployment beside its rounds: coming up, warm-up, going away.
        accelerators: that a deployment holds.
    """

    arms: int
    blocks: int
    rounds: int
    round_seconds: float = 0.0
    other_seconds: float = 0.0
    accelerators: float = 0.0

    @property
    def seconds(self) -> float:
        """Of all deployments, one after another."""
        return self.arms * self.blocks * (self.other_seconds + self.rounds * self.round_seconds)

    @property
    def accelerator_hours(self) -> float:
        """Of all deployments."""
        return self.seconds * self.accelerators / 3600

    def floor(self, deviation: float) -> float:
        """The smallest gain shown in 80 of 100, where one deployment's log scatters by `deviation`."""
        return smallest_gain(deviation, self.blocks, self.arms)


@dataclass(frozen=True, slots=True)
class Floor:
    """The noise floor of a validation that is still to come.

    Attributes:
        gain: the smallest that is shown in 80 of 100, as a share.
        low, high: the same at the ends of what the scatter may be (80 %).
        finer: half of it, at most MOST_FINER, in round figures; 0 where that is below half a per cent.
        finer_design: the cheapest that would show it; None where none of those looked at does.
    """

    scatter: Scatter
    design: Design
    gain: float
    low: float
    high: float
    finer: float
    finer_design: Design | None


def floor_of(scatter: Scatter, design: Design) -> Floor:
    """What `design` can see of a configuration that scatters so."""
    deviation, (low, high) = scatter.of_deployment(design.rounds), scatter.factors
    gain = design.floor(deviation)
    finer = _round_figure(min(gain / 2, MOST_FINER))
    return Floor(
        scatter=scatter,
        design=design,
        gain=gain,
        low=design.floor(deviation * low),
        high=design.floor(deviation * high),
        finer=finer,
        finer_design=_cheapest(scatter, design, finer) if finer else None,
    )


def power_of(gain: float, deviation: float, blocks: int, arms: int = 2) -> float:
    """The probability that blocks show a gain; `deviation` is of one deployment's log."""
    if not deviation:
        return 1.0
    from scipy.special import nctdtr  # noqa: PLC0415  scipy.stats would cost a second of every start

    degrees = (arms - 1) * (blocks - 1)
    shift = math.log1p(gain) * math.sqrt(blocks / 2) / deviation
    return 1.0 - float(nctdtr(degrees, shift, student_quantile(0.975, degrees)))


def smallest_gain(deviation: float, blocks: int, arms: int = 2) -> float:
    """The gain that is shown in 80 of 100; infinite for fewer than two blocks.

    With two arms it is that of a paired t test whose differences scatter by `deviation` times the root of 2.
    """
    if blocks < 2:
        return math.inf
    return math.expm1(_shift((arms - 1) * (blocks - 1)) * deviation / math.sqrt(blocks / 2))


def seen_in(low: float, high: float, degrees: int) -> float:
    """The gain that blocks show in 80 of 100 where their interval came out as from `low` to `high`."""
    if degrees < 1 or not -1 < low <= high < math.inf:
        return math.inf
    half = (math.log1p(high) - math.log1p(low)) / 2
    return math.expm1(half * _shift(degrees) / student_quantile(0.975, degrees))


@lru_cache(maxsize=512)
def _shift(degrees: int) -> float:
    """The noncentrality at which a t of so many degrees of freedom is beyond its quantile in 80 of 100."""
    from scipy.special import nctdtr  # noqa: PLC0415  scipy.stats would cost a second of every start

    needed = student_quantile(0.975, degrees)
    low, high = 0.0, 2 * needed + 4
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if 1 - nctdtr(degrees, middle, needed) < POWER else (low, middle)
    return high


def _cheapest(scatter: Scatter, design: Design, gain: float) -> Design | None:
    """More blocks, and where deployments were compared more rounds too, at the least cost."""
    found: list[Design] = []
    times = _MOST_TIMES_ROUNDS if scatter.between_known else 1
    for blocks in range(max(2, design.blocks), _MOST_BLOCKS + 1):
        for rounds in range(design.rounds, design.rounds * times + 1):
            made = replace(design, blocks=blocks, rounds=rounds)
            if made.floor(scatter.of_deployment(rounds)) <= gain:
                found.append(made)
                break
    return min(found, key=lambda made: (made.seconds, made.blocks), default=None)


def _round_figure(share: float) -> float:
    """To whole per cents from 2 % on, below to halves; 0 below half a per cent."""
    step = 0.01 if share >= 0.02 else 0.005
    return round(math.floor(share / step + 1e-9) * step, 4)
