"""Gains where the arms of a block ran on different nodes."""

from __future__ import annotations

import math
import random
from statistics import fmean, stdev

import pytest

from tuner.verdict.additive import Additive
from tuner.verdict.decide import decide
from tuner.verdict.measured import Candidate, Validated
from tuner.verdict.outcome import Outcome, Verdict

LATIN = [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"]]  # block -> arm -> node
RUNS = 600
BETTER = (Outcome.BETTER, Outcome.BETTER_TIED)


def fitted(logs, nodes):
    """Of logs and nodes as rows of blocks."""
    arms, blocks = range(len(logs[0])), range(len(logs))
    return Additive(
        {a: {b: logs[b][a] for b in blocks} for a in arms},
        {a: {b: nodes[b][a] for b in blocks} for a in arms},
    )


def gain(logs, nodes, *, candidate=1):
    """Of an arm over the first one."""
    return fitted(logs, nodes).gain(candidate, 0)


def drawn(rng: random.Random, effects=(0.0, 0.0, 0.0), *, node=0.02, noise=0.007):
    """Logs of the Latin square: 10 % between blocks, and between nodes and deployments as told."""
    nodes = {name: rng.gauss(0, node) for name in "abc"}
    found = []
    for row in LATIN:
        common = rng.gauss(0, 0.1)
        found.append([common + e + nodes[n] + rng.gauss(0, noise) for e, n in zip(effects, row, strict=True)])
    return found


def validation(rng: random.Random, effects, **noise) -> Verdict:
    """The verdict over such blocks."""
    measured = [
        Validated(arm, block, math.exp(log), node=LATIN[block][arm])
        for block, row in enumerate(drawn(rng, effects, **noise))
        for arm, log in enumerate(row)
    ]
    return decide(measured, [Candidate(1, 1.0, 0), Candidate(2, 2.0, 1)], maximize=True)


def test_what_nodes_differ_by_leaves_no_trace():
    nodes = {"a": 0.0, "b": 0.3, "c": -0.1}
    rng = random.Random(1)
    quiet = drawn(rng, (0.0, 0.1, 0.0), node=0)
    loud = [[v + nodes[n] for v, n in zip(r, row, strict=True)] for r, row in zip(quiet, LATIN, strict=True)]
    first, second = gain(quiet, LATIN), gain(loud, LATIN)
    assert second.share == pytest.approx(first.share)
    assert (second.low, second.high) == pytest.approx((first.low, first.high))
    assert first.low < math.expm1(0.1) < first.high


def test_the_interval_holds_the_truth_nineteen_times_in_twenty():
    rng = random.Random(2)
    found = [gain(drawn(rng, (0.0, 0.05, 0.0)), LATIN) for _ in range(RUNS)]
    assert sum(g.low <= math.expm1(0.05) <= g.high for g in found) / RUNS == pytest.approx(0.95, abs=0.025)


def test_a_gain_that_the_nodes_would_hide_is_found_and_nothing_is_found_where_nothing_is():
    rng = random.Random(3)
    assert sum(validation(rng, (0.0, 0.05, 0.0)).outcome in BETTER for _ in range(100)) >= 85
    assert sum(validation(rng, (0.0, 0.0, 0.0)).outcome in BETTER for _ in range(RUNS)) / RUNS <= 0.05


def test_the_verdict_says_that_nodes_were_taken_out():
    assert any("on 3 nodes" in line for line in validation(random.Random(5), (0.0, 0.2, 0.0)).details)


@pytest.mark.parametrize(
    "nodes",
    [
        [["a", "b", "c"], ["a", "b", "c"], ["a", "b", "c"]],  # an arm always on one node
        [["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"]],  # nothing left to tell the noise by
        [["a", "b", "c"], ["b", "c", ""], ["c", "a", "b"]],  # one is not known
    ],
)
def test_the_ratios_stand_where_nodes_cannot_be_told_apart(nodes):
    logs = drawn(random.Random(4))
    found = fitted(logs, nodes)
    ratios = [row[1] - row[0] for row in logs]
    assert not found.fits_nodes(1, 0)
    assert found.difference(1, 0).mean == pytest.approx(fmean(ratios))
    assert found.difference(1, 0).degrees == 2
    assert found.difference(1, 0).error == pytest.approx(stdev(ratios) / math.sqrt(3))


def test_blocks_that_each_stayed_on_one_node_leave_all_the_freedom_there_is():
    stayed = [["a"] * 3, ["b"] * 3, ["c"] * 3]
    found = fitted(drawn(random.Random(4)), stayed)
    assert not found.fits_nodes(1, 0)
    assert found.difference(1, 0).degrees == 4


def test_one_candidate_over_three_blocks_keeps_its_ratios_because_they_leave_more_freedom():
    found = fitted([[0.0, 0.1], [0.0, 0.2], [0.1, 0.1]], [["a", "b"], ["b", "a"], ["a", "b"]])
    assert found.difference(1, 0).degrees == 2
    assert not found.fits_nodes(1, 0)
