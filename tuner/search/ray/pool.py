"""The cluster's accelerators, counted by what the run itself has deployed: nobody is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tuner.trial.ports import Slot, TrialConfig


class Pool:
    """How many accelerators a trial could get now.

    Args:
        nodes: Ray node id -> how many it declares.
        narrowest: the fewest that a trial takes.
    """

    def __init__(self, nodes: Mapping[str, float], *, narrowest: int) -> None:
        self._nodes = {node: int(count) for node, count in nodes.items() if count >= 1}
        self._narrowest = narrowest

    def free(self, running: Sequence[TrialConfig], slot: Slot) -> int | None:
        """For a trial in `slot` beside those that run; None where nothing counts accelerators.

        Trials that are bound to no node may lie on any: of several nodes then as many as the largest has.
        """
        if not self._nodes:
            return None
        if slot.node_id:
            here = [trial for trial in running if trial.slot.node_id == slot.node_id]
            return self._nodes.get(slot.node_id, 0) - sum(trial.accelerators for trial in here)
        left = sum(self._nodes.values()) - sum(trial.accelerators for trial in running)
        return min(left, max(self._nodes.values()))

    def is_spent(self, running: Sequence[TrialConfig], slot: Slot) -> bool:
        """Whether nothing could start in `slot` until a trial ends: what is chosen then knows more."""
        free = self.free(running, slot)
        return bool(running) and free is not None and free < self._narrowest
