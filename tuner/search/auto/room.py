"""What the memory estimate says of deploying, before anything was deployed: less likely, never impossible.

A formula was right of every dense model that was tried and of every second mixture of experts, so it only
moves the mean of the failure model (failures.py), and trials overrule it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tuner.search.auto.encoding import Rows
from tuner.spec.memory import TIGHT, Memory
from tuner.trial.ports import ParamValue

_LEAST = -2.0  # from 84 % to 16 % that deploy, where as much is missing as is called tight


def rooms(memory: Memory | None, configurations: Sequence[Mapping[str, ParamValue]]) -> Rows | None:
    """By how much each one's latent value moves, (n,): 0 where there is room, down to -2.

    None where nothing is known of the memory.
    """
    if memory is None:
        return None
    return np.array([_room(memory, params) for params in configurations], dtype=float)


def _room(memory: Memory, params: Mapping[str, ParamValue]) -> float:
    estimate = memory.estimate(params)
    if estimate is None or not estimate.tight:
        return 0.0
    return max(_LEAST, _LEAST * (TIGHT - estimate.headroom) / (2 * TIGHT))
