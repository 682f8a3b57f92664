"""Arms compared over blocks: every log is fitted as arm + block, and where it helps + node.

What the machine did at the time of a block is common to its arms and leaves with the block. The scatter that
is left is that of all arms together, taken to be alike: of k arms over b blocks it has (k - 1)(b - 1) degrees
of freedom where the ratios of one pair have b - 1, and Student's t of few degrees is what makes three blocks
weak (two-way layout without replication: R. A. Fisher, "The Design of Experiments", 1935, chapter IV; cells
that are missing: F. Yates, "The analysis of multiple classifications with unequal numbers in the different
classes", Journal of the American Statistical Association 29, 1934, pages 51-66, here by least squares). Where
a pair scatters so differently from the rest that chance would hardly do it, its own ratios stand instead.
Simulated with three arms and blocks, the 95 % interval holds the truth in 95 % where all scatter alike, in
93 % of an arm that scatters twice as much as the others, and in 90 % at three times as much.

Arms of one block on different nodes: what the nodes differ by is in each ratio. Swapping the nodes between
the blocks takes most of it out of the mean, but leaves it in the scatter, so the node is fitted too, as in a
Latin square; where that leaves fewer degrees of freedom than the pair's ratios have, or cannot be told from
the arms, the ratios stand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tuner.verdict.gain import CONFIDENCE, Gain, student_quantile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Logs = Mapping[int, Mapping[int, float]]  # arm -> block -> log of its value, positive is better
Nodes = Mapping[int, Mapping[int, str]]  # arm -> block -> where it ran; "" where that is not known
Scatter = tuple[float, int]  # standard deviation of one cell's log, degrees of freedom; (NaN, 0): not known
WIDER, NARROWER = 0.005, 0.0005  # how rarely chance makes a pair scatter so much more, or less, than the rest
_RANK = 1e-9


@dataclass(frozen=True, slots=True)
class Difference:
    """Of two arms' logs.

    Attributes:
        error: standard error of the mean; NaN where it cannot be told.
        degrees: of freedom that the error rests on.
    """

    mean: float
    error: float
    degrees: int

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """(low, high), by Student's t; NaN where there is no error."""
        half = self._half((1 + confidence) / 2)
        return self.mean - half, self.mean + half

    def least(self, confidence: float = CONFIDENCE) -> float:
        """What it is not below with that confidence: the one-sided bound."""
        return self.mean - self._half(confidence)

    def _half(self, probability: float) -> float:
        if math.isnan(self.error) or self.degrees < 1:
            return math.nan
        return student_quantile(probability, self.degrees) * self.error


class Additive:
    """The logs of all arms, the baseline among them, cells missing where nothing was measured.

    Args:
        nodes: of every cell; None where nodes do not matter.
        also: the scatter that other blocks of the same kind have shown, as `scatter` has it; it counts with
            that of these unless the two are so unlike that chance would hardly do it.
    """

    def __init__(self, logs: Logs, nodes: Nodes | None = None, *, also: Scatter = (math.nan, 0)) -> None:
        self._logs = {arm: dict(of) for arm, of in logs.items()}
        self._nodes = nodes or {}
        self._also = also

    def shared(self, one: int, other: int) -> list[int]:
        """The blocks in which both were measured."""
        return sorted(self._logs.get(one, {}).keys() & self._logs.get(other, {}).keys())

    def difference(self, one: int, other: int) -> Difference | None:
        """The log of `one` over `other`; None without a block that has both.

        With a single such block there is no error: the scatter of other arms says nothing of a mean of one.
        """
        blocks = self.shared(one, other)
        if not blocks:
            return None
        pair = _paired([self._logs[one][b] - self._logs[other][b] for b in blocks])
        if len(blocks) < 2:
            return pair
        if self.nodes_differ:
            found = self._with_nodes.difference(one, other) if self._all_known else None
            return found if found is not None and found.degrees >= pair.degrees else pair
        found = self._plain.difference(one, other)
        if found is None or self._plain.is_unlike(pair):
            return pair
        return found

    def gain(self, one: int, other: int, *, confidence: float = CONFIDENCE) -> Gain:
        """Of `one` over `other`, with the ratio seen in each block that has both.

        The difference of the logs, taken back to shares. Ratios rather than differences, because a slow
        moment slows both by a share; logs, because a ratio and its inverse must be equally far from none. Of
        what is minimised the gain is baseline / candidate - 1: half the latency is a gain of 1 (100 %).

        Where nodes are fitted, what the two nodes differ by is taken out of each block's ratio.

        Raises:
            ValueError: no block has both.
        """
        found = self.difference(one, other)
        if found is None:
            raise ValueError(f"no block has both arm {one} and arm {other}")
        low, high = found.interval(confidence)
        blocks = self.shared(one, other)
        each = [self._logs[one][b] - self._logs[other][b] for b in blocks]
        if self.fits_nodes(one, other):
            of_node = self._with_nodes.node_effects
            each = [
                ratio - of_node[self._nodes[one][b]] + of_node[self._nodes[other][b]]
                for ratio, b in zip(each, blocks, strict=True)
            ]
        return Gain(math.expm1(found.mean), math.expm1(low), math.expm1(high), tuple(map(math.expm1, each)))

    def fits_nodes(self, one: int, other: int) -> bool:
        """Whether the nodes are taken out of this difference."""
        blocks = self.shared(one, other)
        if len(blocks) < 2 or not self.nodes_differ or not self._all_known:
            return False
        found = self._with_nodes.difference(one, other)
        return found is not None and found.degrees >= len(blocks) - 1

    @property
    def node_names(self) -> tuple[str, ...]:
        """Where the arms ran."""
        return tuple(sorted({name for of in self._nodes.values() for name in of.values() if name}))

    @cached_property
    def scatter(self) -> Scatter:
        """The residual standard deviation of one cell, and its degrees of freedom; (NaN, 0) without any."""
        if not self._cells:
            return math.nan, 0
        fit = self._with_nodes if self.nodes_differ and self._all_known else self._plain
        return (math.sqrt(fit.squares / fit.degrees), fit.degrees) if fit.degrees > 0 else (math.nan, 0)

    @cached_property
    def nodes_differ(self) -> bool:
        """Whether some block's arms ran on several nodes, or may have: one is known and another not."""
        rows: dict[int, set[str]] = {}
        for arm, block in self._cells:
            rows.setdefault(block, set()).add(self._nodes.get(arm, {}).get(block, ""))
        return any(len(row) > 1 for row in rows.values())

    @cached_property
    def _all_known(self) -> bool:
        return all(self._nodes.get(arm, {}).get(block) for arm, block in self._cells)

    @cached_property
    def _cells(self) -> list[tuple[int, int]]:
        """(arm, block); a block with one arm alone compares nothing."""
        count: dict[int, int] = {}
        for of in self._logs.values():
            for block in of:
                count[block] = count.get(block, 0) + 1
        return [(arm, b) for arm, of in self._logs.items() for b in of if count[b] > 1]

    @cached_property
    def _plain(self) -> _Fit:
        return _Fit(self._cells, [self._logs[a][b] for a, b in self._cells], also=self._also)

    @cached_property
    def _with_nodes(self) -> _Fit:
        places = [self._nodes[a][b] for a, b in self._cells]
        return _Fit(self._cells, [self._logs[a][b] for a, b in self._cells], places, also=self._also)


class _Fit:
    """Least squares of cells (arm, block) by arm + block, and + node where those are given."""

    def __init__(
        self,
        cells: Sequence[tuple[int, int]],
        seen: Sequence[float],
        places: Sequence[str] = (),
        *,
        also: Scatter = (math.nan, 0),
    ) -> None:
        import numpy as np  # noqa: PLC0415  not at every start

        self._arms = list(dict.fromkeys(arm for arm, _ in cells))
        self._places = sorted(set(places))
        blocks = list(dict.fromkeys(b for _, b in cells))
        columns = len(self._arms) + len(blocks) + len(self._places)
        design = np.zeros((len(cells), columns))
        for row, (arm, block) in enumerate(cells):
            design[row, self._arms.index(arm)] = 1.0
            design[row, len(self._arms) + blocks.index(block)] = 1.0
            if places:
                design[row, columns - len(self._places) + self._places.index(places[row])] = 1.0
        left, sizes, right = np.linalg.svd(design, full_matrices=False)
        rank = int((sizes > _RANK * sizes.max(initial=0.0)).sum())
        self._right = right[:rank]
        self._scaled = right[:rank] / sizes[:rank, None]
        self._fitted: NDArray[np.float64] = self._scaled.T @ (left.T[:rank] @ np.asarray(seen))
        residual = np.asarray(seen) - design @ self._fitted
        self.squares = float(residual @ residual)
        self.degrees = len(cells) - rank
        self._variance, self._rests_on = self._pooled(also)

    def difference(self, one: int, other: int) -> Difference | None:
        """None where the two cannot be told from blocks or nodes, or nothing is left to tell the scatter."""
        import numpy as np  # noqa: PLC0415

        if one not in self._arms or other not in self._arms or self.degrees < 1:
            return None
        contrast = np.zeros(len(self._fitted))
        contrast[self._arms.index(one)] += 1.0
        contrast[self._arms.index(other)] -= 1.0
        within = self._right @ contrast
        if abs(float(within @ within) - 2.0) > 1e-6:
            return None
        spread = self._scaled @ contrast
        error = math.sqrt(self._variance * float(spread @ spread))
        return Difference(float(contrast @ self._fitted), error, self._rests_on)

    def is_unlike(self, pair: Difference) -> bool:
        """Whether the pair's own ratios scatter otherwise than the rest of the residual.

        The residual of a part of the data under the same model, and what is left of the whole's, are
        independent (C. R. Rao, "Linear Statistical Inference and Its Applications", 1973, section 4b), so
        that the ratio of their mean squares follows F.
        """
        own = pair.error**2 * (pair.degrees + 1) * pair.degrees / 2  # the pair's residual sum of squares
        rest = max(0.0, self.squares - own)
        return _unlike(own, pair.degrees, rest, self.degrees - pair.degrees)

    def _pooled(self, also: Scatter) -> tuple[float, int]:
        """Variance of a cell and the degrees of freedom that it rests on."""
        if self.degrees < 1:
            return math.nan, 0
        deviation, degrees = also
        others = deviation**2 * degrees if degrees else 0.0
        if not degrees or _unlike(self.squares, self.degrees, others, degrees):
            return self.squares / self.degrees, self.degrees
        return (self.squares + others) / (self.degrees + degrees), self.degrees + degrees

    @property
    def node_effects(self) -> dict[str, float]:
        """Of each node, up to what is common to all."""
        first = len(self._fitted) - len(self._places)
        return {name: float(self._fitted[first + i]) for i, name in enumerate(self._places)}


def _unlike(own: float, degrees: int, rest: float, rest_degrees: int) -> bool:
    """Whether the first of two sums of squares is larger or smaller than chance would make it.

    Smaller is believed less readily: what happened to agree would make its interval too narrow.
    """
    from scipy.special import fdtr  # noqa: PLC0415  scipy.stats would cost a second of every start

    if rest_degrees < 1 or degrees < 1:
        return False
    if not rest:
        return bool(own)
    below = float(fdtr(degrees, rest_degrees, own / degrees / (rest / rest_degrees)))
    return below < NARROWER or below > 1 - WIDER


def _paired(ratios: Sequence[float]) -> Difference:
    """From the ratios of one pair alone."""
    count = len(ratios)
    mean = math.fsum(ratios) / count
    if count < 2:
        return Difference(mean, math.nan, 0)
    squares = math.fsum((v - mean) ** 2 for v in ratios)
    return Difference(mean, math.sqrt(squares / (count - 1) / count), count - 1)
