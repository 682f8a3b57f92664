"""The benchmark of the search: what is drawn by chance, what a peer is asked, and which targets are met."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from statistics import median

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
NAME = "quickstart-grid"


@pytest.fixture(scope="module", autouse=True)
def benchmarks():
    """The benchmarks import one another from their folder."""
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def recorded():
    from searches.surfaces import Recorded

    return Recorded.read(NAME)


def test_random_costs_what_drawing_without_replacement_does(recorded):
    from searches.by_chance import _rows, cost_seconds, random_costs

    costs = random_costs(recorded, range(4000))
    rows = _rows(recorded)
    good, others = len(recorded.truth.good), len(rows) - 1
    expected = 1 + (others + 1) / (good + 1)  # of the first of `good` among `others`, and the baseline
    assert sum(trials for _, trials in costs) / len(costs) == pytest.approx(expected, rel=0.03)
    each = [cost_seconds(recorded, row) for row in rows]
    assert median(s / t for s, t in costs) == pytest.approx(sum(each) / len(each), rel=0.1)


def test_a_search_with_noise_measures_what_the_replay_does(recorded):
    from searches.spending import Spending

    from tuner.search.replay import replay

    outcome = replay(
        recorded.experiment,
        recorded.surface,
        5,
        sampler="random",
        early_stop="none",
        trials=60,
        free_suggestions=True,
        until_found=True,
        keep_lines=True,
    )
    spending = Spending(recorded, 5)
    for line in sorted(outcome.lines, key=lambda one: one.trial):
        score = spending.measure(recorded.surface.row(line.params))
        assert (score.metrics if score else {}) == line.metrics
    assert spending.measured == pytest.approx((outcome.measured.seconds, outcome.measured.trials))
    assert spending.recommended == pytest.approx((outcome.recommended.seconds, outcome.recommended.trials))


def test_a_peer_is_asked_and_told_and_what_is_recorded_of_it_knows_its_surface(
    recorded, tmp_path, monkeypatch
):
    from searches import peers

    monkeypatch.setattr(peers, "PEERS", tmp_path)
    monkeypatch.setattr(peers, "environment", lambda *_, **__: Path(sys.executable).parent)
    tpe = next(peer for peer in peers.ALL if peer.name == "tpe")
    assert peers.recorded_runs(recorded, tpe) is None
    peers.record(recorded, tpe, [3, 4], jobs=1)
    runs = peers.recorded_runs(recorded, tpe)
    assert [run["seed"] for run in runs] == [3, 4]
    assert all(2 <= run["measured"][1] <= 72 for run in runs)
    file = next(tmp_path.iterdir())
    file.write_text(file.read_text().replace(recorded.surface.sha256, "0" * 64))
    with pytest.raises(peers.Stale, match="surface_sha256 is 000000000000"):
        peers.recorded_runs(recorded, tpe)


def test_what_never_found_a_good_one_counts_as_infinite():
    from searches.figures import Cost, geometric_mean

    cost = Cost.of([(10.0, 1), (20.0, 2), (30.0, 3), None])
    assert (cost.median, cost.p90, cost.found) == (25.0, math.inf, 0.75)
    assert cost.low <= cost.median <= cost.high
    assert geometric_mean([0.1, 1000.0]) == pytest.approx(10)
    assert math.isinf(geometric_mean([1.0, math.inf]))


def line(name="s", *, ours=10.0, p90=20.0, trials=40.0, **others):
    from searches.figures import Cost
    from searches.table import Line

    def cost(median, p90=0.0, trials=1.0):
        return Cost(60, 1.0, median, median, median, p90, trials)

    known = {"random": cost(100.0, 200.0, trials), "tpe": cost(50.0), "botorch": cost(25.0)}
    costs = known | {"ours": cost(ours, p90)} | {n: cost(v) for n, v in others.items()}
    return Line(name, 3, 100, 5.0, costs)


def test_a_surface_meets_the_targets_only_against_every_one_of_them():
    assert line().p90_ratio == 0.1 and line().met
    assert not line(p90=26.0).met
    assert not line(tpe=29.0).met and not line(botorch=19.0).met
    unrecorded = line()
    del unrecorded.costs["botorch"]
    assert not unrecorded.met
    assert not line(ours=math.inf).met


def test_the_targets_leave_easy_surfaces_out():
    from searches.table import costs_table, ratios_table, targets

    lines = [line("a"), line("easy", ours=90.0, trials=16.0)]
    assert [met for _, met in targets(lines)] == [True, True, True]
    assert "| easy (does not count) |" in costs_table(lines)
    assert "| **geometric mean** | **0.10** |" in ratios_table(lines)
    assert [met for _, met in targets([*lines, line("b", ours=50.0, p90=201.0)])] == [False, False, False]
