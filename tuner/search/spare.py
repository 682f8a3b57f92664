"""What a suggestion should fit: the accelerators that are free now, for else they idle until more are.

What takes more than is free is passed over for the best of what fits. A wide configuration would then wait
for ever on a pool that narrow ones share, so what is lost by passing over adds up: once it is enough, the
best gets its turn. It waits for its accelerators, and nothing else takes them meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tuner.errors import SpecError
from tuner.spec.space import Space
from tuner.trial.ports import ParamValue

PATIENCE = 3.0  # of the logarithms of expected gain per second that were lost by passing over
UNTOLD = PATIENCE / 12  # lost by passing over a suggestion of a sampler that tells no gain
_LOOKED_AT = 20_000  # configurations among which the narrowest is looked for


class Spare:
    """Knows what is free, where whoever runs the trials says so, and what configurations take.

    Attributes:
        free: how many accelerators are free; None where nobody counts them.
    """

    def __init__(self, space: Space) -> None:
        self.free: Callable[[], int | None] = lambda: None
        self._space = space
        self._lost = 0.0

    def takes(self, configurations: Sequence[Mapping[str, ParamValue]]) -> NDArray[np.intp]:
        """How many accelerators each takes, (n,)."""
        return np.array([self._space.accelerators(params) for params in configurations], dtype=np.intp)

    def passes_over(self, lost: float) -> bool:
        """Whether the best, which does not fit, is passed over for what fits; else it is its turn.

        Args:
            lost: log of its expected gain per second over that of what fits.
        """
        self._lost += lost
        if self._lost < PATIENCE:
            return True
        self._lost = 0.0
        return False


def narrowest(space: Space) -> int:
    """The fewest accelerators that a configuration takes; 1 where the space is too large to look through."""
    size = space.size()
    if size is None or size > _LOOKED_AT:
        return 1
    try:
        return min((space.accelerators(params) for params in space.grid()), default=1)
    except SpecError:
        return 1
