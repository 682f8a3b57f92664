"""The gain where the arms of a block ran on different nodes: what the nodes differ by is taken out.

A block compares its arms as they were at one time. Where they ran side by side on several nodes, the nodes'
own differences are in each ratio: swapping the nodes between the blocks takes most of them out of the mean,
but leaves them in the scatter from which the interval is made, which becomes several times too wide. So the
logs are fitted as arm + block + node by least squares, as a Latin square or its incomplete kin is (R. A.
Fisher, "The Design of Experiments", 1935, chapter V; for layouts that are not balanced F. Yates, "The
analysis of multiple classifications with unequal numbers in the different classes", Journal of the American
Statistical Association 29, 1934, pages 51-66). The interval is Student's t on the residual's degrees of
freedom, the residual that of all arms together: it takes them to scatter alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tuner.verdict.gain import CONFIDENCE, Gain, student_quantile

Logs = Mapping[int, Mapping[int, float]]  # arm -> block -> log of its value, positive is better
Nodes = Mapping[int, Mapping[int, str]]  # arm -> block -> where it ran; "" where that is not known


def differ_within_blocks(nodes: Nodes, blocks: Sequence[int]) -> bool:
    """Whether all nodes are known, and some block's arms ran on several."""
    rows = [{of[b] for of in nodes.values()} for b in blocks]
    return all("" not in row for row in rows) and any(len(row) > 1 for row in rows)


def gain_apart_from_nodes(
    logs: Logs,
    nodes: Nodes,
    blocks: Sequence[int],
    *,
    candidate: int,
    baseline: int,
    confidence: float = CONFIDENCE,
) -> Gain | None:
    """The candidate's gain, the nodes' differences taken out.

    Each of the gain's blocks is the ratio seen there, the fitted difference of the two nodes taken out.

    Args:
        logs: of all arms, the baseline among them, in all of `blocks`.

    Returns:
        None where the nodes do not differ within a block, where arm and node cannot be separated, or where
        fewer degrees of freedom were left than the blocks' own ratios have (one fewer than blocks): those
        then make the better interval.
    """
    if len(blocks) < 2 or not differ_within_blocks(nodes, blocks):
        return None
    import numpy as np  # noqa: PLC0415  not at every start

    arms = [baseline, *(a for a in logs if a != baseline)]
    places = sorted({nodes[a][b] for a in arms for b in blocks})
    cells = [(a, b) for b in blocks for a in arms]
    design = np.array(
        [
            [1.0, *(a == arm for arm in arms[1:]), *(b == block for block in blocks[1:])]
            + [float(nodes[a][b] == place) for place in places[1:]]
            for a, b in cells
        ]
    )
    seen = np.array([logs[a][b] for a, b in cells])
    wanted = arms.index(candidate)  # the baseline's column is the constant
    degrees = len(cells) - int(np.linalg.matrix_rank(design))
    without = np.linalg.matrix_rank(np.delete(design, wanted, axis=1))
    if degrees < len(blocks) - 1 or without == np.linalg.matrix_rank(design):
        return None
    fitted, *_ = np.linalg.lstsq(design, seen, rcond=None)
    residual = seen - design @ fitted
    variance = float(residual @ residual) / degrees
    spread = float(np.linalg.pinv(design.T @ design)[wanted, wanted])
    half = student_quantile((1 + confidence) / 2, degrees) * math.sqrt(variance * spread)
    mean = float(fitted[wanted])
    of_node = dict(zip(places, [0.0, *map(float, fitted[len(arms) + len(blocks) - 1 :])], strict=True))
    each = [
        (logs[candidate][b] - of_node[nodes[candidate][b]])
        - (logs[baseline][b] - of_node[nodes[baseline][b]])
        for b in blocks
    ]
    return Gain(
        math.expm1(mean), math.expm1(mean - half), math.expm1(mean + half), tuple(map(math.expm1, each))
    )
