"""How many trials run side by side where `search.parallel` is auto: as many as leave each other alone.

Trial 0 is measured with the machine to itself. Then the baseline is measured again while trials run in all
the other places. Where that costs it more than DISTURBED, beyond what its rounds explain, half as many
places are used from then on and it is measured once more. All of it follows from the history, so a resumed
run goes on with as many as it had come to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tuner.search.history import History
from tuner.search.sentinels import sentinels
from tuner.trial.ports import State

DISTURBED = 0.05  # of the objective, lost to neighbours
TRIALS_A_PLACE = 4  # a search with fewer would spend too much of itself on this


@dataclass(frozen=True, slots=True)
class Width:
    """What the sentinels so far say.

    Attributes:
        now: trials side by side.
        settled: nothing more is to be measured for it.
        lost: share of the objective that each measurement beside neighbours lost, with how many places then.
    """

    now: int
    settled: bool
    lost: tuple[tuple[int, float], ...] = ()

    @property
    def facts(self) -> dict[str, str]:
        """For the report; nothing before anything was measured."""
        return {"trials side by side": self.told} if self.lost else {}

    @property
    def told(self) -> str:
        """One line for a person; "" before anything was measured."""
        if not self.lost:
            return ""
        places, share = self.lost[-1]
        moved = f"{abs(share) * 100:.1f} % {'worse' if share > 0 else 'better'}"
        if not share:
            moved = "not shown to be worse"
        said = f"The baseline is {moved} beside {places - 1} neighbour{'s' * (places > 2)} than alone"
        if not self.settled or self.now < places:
            return f"{said}: {self.now} trial{'s' * (self.now > 1)} side by side from here on"
        return f"{said}: {self.now} trials side by side"


def width_of(history: History, places: int) -> Width:
    """How many of the places to use; the first sentinels are those that were made for this."""
    now, lost = places, list[tuple[int, float]]()
    for deployment in sentinels(history) if 0 in history.records else ():
        if now == 1:
            break
        if deployment.state is State.FAILED:
            return Width(now, True, tuple(lost))
        if deployment.state is not State.COMPLETE:
            continue
        share = history.lost_to_neighbours(deployment)
        lost.append((now, share))
        if not share > DISTURBED:
            return Width(now, True, tuple(lost))
        now = math.ceil(now / 2)
    return Width(now, now == 1, tuple(lost))
