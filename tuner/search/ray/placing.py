"""Where benchmark actors go that are bound to no node: away from engines and from the driver."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuner.search.ray.cluster import Node


def load_places(nodes: Sequence[Node], resource: str, count: int) -> list[str]:
    """The node of each of `count` actors, by id; a preference, so that Ray may find another.

    Nodes that declare accelerators take the trials, and on the driver's own Ray's head often is. So the
    others come first, then the driver's, and last those with accelerators. Actors go round, one a CPU.

    Args:
        nodes: the driver's own first.
        resource: that counts accelerators.
    """
    ranks: dict[int, list[Node]] = {}
    for place, node in enumerate(nodes):
        rank = 2 if node.resources.get(resource, 0.0) >= 1 else int(place == 0)
        ranks.setdefault(rank, []).append(node)
    found: list[str] = []
    for _, alike in sorted(ranks.items()):
        most = max(int(node.cpus) for node in alike)
        found += [node.node_id for turn in range(most) for node in alike if turn < int(node.cpus)]
    return list(islice(cycle(found or [node.node_id for node in nodes]), count))
