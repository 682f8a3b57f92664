"""The places in which trials run side by side, each with its own lasting benchmark actor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tuner.search.ray.bench import remote_actor
from tuner.trial.ports import Slot


class SlotPool:
    """Lends slots, remembers which deployment had one last, and forgets those of dead nodes."""

    def __init__(self, slots: Sequence[Slot], *, alive: Callable[[], set[str]]) -> None:
        self._free = list(slots)
        self._lent: dict[str, Slot] = {}
        self._last: dict[Slot, str] = {}
        self._alive = alive

    def take(self) -> Slot | None:
        """A free slot, or None. One on a node that died is dropped."""
        while self._free:
            slot = self._free.pop(0)
            if not slot.node_id or slot.node_id in self._alive():
                return slot
        return None

    def give_back(self, slot: Slot, *, last: str | None) -> None:
        """Return a slot that `take` gave; `last` is the deployment that used it."""
        if last is not None:
            self._last[slot] = last
        self._free.append(slot)

    def lend(self, borrower: str, slot: Slot) -> None:
        """Remember who has a taken slot."""
        self._lent[borrower] = slot

    def take_back(self, borrower: str, *, last: str) -> None:
        """The borrower is done with its slot."""
        self.give_back(self._lent.pop(borrower), last=last)

    def last(self, slot: Slot) -> str | None:
        """The deployment that had the slot before; it may still hold accelerators."""
        return self._last.get(slot)

    def stranded(self, borrower: str) -> bool:
        """Whether its slot is on a node that died."""
        slot = self._lent.get(borrower)
        return slot is not None and bool(slot.node_id) and slot.node_id not in self._alive()

    @property
    def lost(self) -> bool:
        """Whether no slot is left, all nodes being gone."""
        return not self._free and not self._lent


def laid_out(count: int, nodes: Sequence[str], *, run: str, bound: bool) -> list[Slot]:
    """`count` slots over `nodes` (Ray node ids) in turn; `bound` ties each slot's trials to its node."""
    places = [nodes[i % len(nodes)] for i in range(count)]
    of = Counter(places)
    seen: Counter[str] = Counter()
    slots = []
    for i, node in enumerate(places):
        slots.append(Slot(index=seen[node], of=of[node], load=f"bench-{run}-{i}", node_id=node))
        seen[node] += 1
    return slots if bound else [replace(s, index=i, of=count, node_id="") for i, s in enumerate(slots)]


def start_actors(
    slots: Sequence[Slot],
    nodes: Sequence[str],
    workload: dict[str, Any],
    goodput: dict[str, float] | None = None,
    slos: dict[str, float] | None = None,
    *,
    accuracy: dict[str, Any] | None = None,
) -> list[Any]:
    """One named benchmark actor for each slot: on its node where it is bound, else on the next of `nodes`."""
    actor = remote_actor()
    made = []
    for i, slot in enumerate(slots):
        affinity = NodeAffinitySchedulingStrategy(
            slot.node_id or nodes[i % len(nodes)], soft=not slot.node_id
        )
        lent = actor.options(name=slot.load, scheduling_strategy=affinity)
        made.append(lent.remote(workload, goodput, slos, accuracy))
    return made


def wait_for(actors: Sequence[Any], *, seconds: float) -> bool:
    """Whether all actors answered, each within `seconds` of the one before.

    With too few CPUs in the cluster they never do; many on few cores take their time to start.
    """
    asked, ready = [a.ready.remote() for a in actors], 0
    while ready < len(asked):
        answered, _ = ray.wait(asked, num_returns=ready + 1, timeout=seconds)
        if len(answered) <= ready:
            return False
        ready = len(answered)
    return True


def notes(actors: Sequence[Any], *, seconds: float) -> dict[str, str]:
    """What deployments are doing, by name, of those actors that answer in time."""
    asked = [a.noted.remote() for a in actors]
    ready, _ = ray.wait(asked, num_returns=len(asked), timeout=seconds)
    return {name: line for name, line in ray.get(ready) if name}
