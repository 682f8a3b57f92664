"""Random search and a grid, drawn straight from the surface: thousands of seeds in a second.

Random: the baseline, then all other rows in a drawn order, none twice. Grid: the baseline, then nested loops
over the parameters, the drawn one outermost. No trial is stopped early, and no suggestion takes time.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from searches.spending import Spending
from searches.surfaces import Recorded

from tuner.search.replay.surface import Row

_GRIDS = 200  # orders of the loops
_RECOMMENDED = 200  # random searches whose recommendations are looked at
Pair = tuple[float, int]  # seconds and trials


@dataclass(frozen=True)
class Chance:
    """What random and grid cost on one surface, a pair a seed; `recommended` is of random."""

    random: list[Pair]
    recommended: list[Pair | None]
    grid: list[Pair]


def chance_of(recorded: Recorded, seeds: Sequence[int]) -> Chance:
    """Random on all seeds; what it recommends and the grid on the first of them."""
    return Chance(
        random_costs(recorded, seeds),
        [random_spending(recorded, seed).recommended for seed in seeds[:_RECOMMENDED]],
        grid_costs(recorded, seeds[:_GRIDS]),
    )


def first_measured(recorded: Recorded, order: Iterable[Row]) -> Pair:
    """Seconds and trials until a good row was measured to its end, in that order."""
    seconds = 0.0
    for trials, row in enumerate(order, start=1):
        seconds += cost_seconds(recorded, row)
        if recorded.truth.is_good(row.params):
            return seconds, trials
    raise AssertionError("the optimum is a row")


def cost_seconds(recorded: Recorded, row: Row) -> float:
    """Of one trial that is measured to its end."""
    load = recorded.experiment.workload
    if row.failure is not None:
        return row.deploy_seconds
    return row.deploy_seconds + load.warmup_seconds + load.rounds * load.round_seconds * len(load.points)


def random_costs(recorded: Recorded, seeds: Sequence[int]) -> list[Pair]:
    """Of every seed."""
    first, *others = _rows(recorded)
    costs = {row.line: cost_seconds(recorded, row) for row in (first, *others)}
    good = {row.line for row in recorded.truth.good}
    if first.line in good:
        return [(costs[first.line], 1)] * len(seeds)
    found = []
    for seed in seeds:
        rng = random.Random(seed)
        lines = [row.line for row in others]
        rng.shuffle(lines)
        trials = next(i for i, line in enumerate(lines, start=1) if line in good)
        found.append((costs[first.line] + sum(costs[line] for line in lines[:trials]), trials + 1))
    return found


def random_spending(recorded: Recorded, seed: int) -> Spending:
    """One random search with the noise, for what it recommends."""
    rows = _rows(recorded)
    order = rows[1:]
    random.Random(seed).shuffle(order)
    spending = Spending(recorded, seed)
    for row in (rows[0], *order):
        spending.measure(row)
        if spending.done:
            break
    return spending


def grid_costs(recorded: Recorded, seeds: Sequence[int]) -> list[Pair]:
    """Of every seed; it draws the order of the loops, values keep the file's."""
    names = list(recorded.surface.space.parameters)
    places = {
        name: {value: i for i, value in enumerate(p.grid() or ())}
        for name, p in recorded.surface.space.parameters.items()
    }
    first, *others = _rows(recorded)
    found = []
    for seed in seeds:
        loops = list(names)
        random.Random(seed).shuffle(loops)
        order = sorted(others, key=lambda row: [places[n].get(row.params.get(n), -1) for n in loops])
        found.append(first_measured(recorded, (first, *order)))
    return found


def floor_seconds(recorded: Recorded) -> float:
    """What nobody can undercut: the baseline, and one trial, a good one of mean cost."""
    good = recorded.truth.good
    baseline = _rows(recorded)[0]
    if baseline in good:
        return cost_seconds(recorded, baseline)
    mean = sum(cost_seconds(recorded, row) for row in good) / len(good)
    return cost_seconds(recorded, baseline) + mean


def _rows(recorded: Recorded) -> list[Row]:
    """The baseline, then the complete rows."""
    space, surface = recorded.surface.space, recorded.surface
    baseline = surface.row(space.baseline)
    return [baseline, *(r for r in surface.rows if r is not baseline and space.complete(r.params))]
