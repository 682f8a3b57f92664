"""What is expected of a parameter beforehand: its role, the slopes, and what measurements do to them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tuner.search.auto.chooser import Chooser
from tuner.search.auto.roles import ROLES, Roles, role_of
from tuner.search.auto.trend import learned, trend_of
from tuner.search.history import Deployment, History, TrialRecord
from tuner.trial.objective import Goal
from tuner.trial.ports import Phase, Score, State

TEXT = """\
parameters:
  tp: {values: [1, 2, 4], flag: --tensor-parallel-size}
  slots: {values: [8, 32, 128], flag: --max-num-seqs}
  weights: {values: [bf16, fp8], place: storage.pvc_subpath}
  kv: {values: [auto, fp8_e5m2], flag: --kv-cache-dtype}
  odd: {values: [3, 9], flag: --something-else}
objective: {maximize: output_tokens_per_second}
"""
GOALS = (Goal("output_tokens_per_second", True),)


@pytest.mark.parametrize(
    ("name", "role"),
    [("tp", "width"), ("slots", "sequences"), ("weights", "weights"), ("kv", "cache"), ("odd", None)],
)
def test_a_parameter_is_known_by_its_name_or_flag(experiment, name, role):
    assert role_of(name, experiment(text=TEXT).space.parameters[name]) == role


def test_counts_are_powers_of_two_and_what_is_quantised_is_1(experiment):
    roles = Roles(experiment(text=TEXT).space)
    assert roles.names == ("sequences", "width", "weights", "cache")
    row = roles.rows([{"tp": 4, "slots": 32, "weights": "fp8", "kv": "auto", "odd": 3}, {"tp": 1}])
    assert row[0].tolist() == [5, 2, 1, 0]
    assert row[1, 1] == 0 and np.isnan(row[1, [0, 2, 3]]).all()


def test_what_ships_names_only_known_roles_and_says_what_everyone_knows():
    slopes = learned()
    assert {role for found in slopes.values() for role in found} <= set(ROLES)
    assert slopes["output_tokens_per_second"]["weights"][0] > 0 > slopes["tpot"]["weights"][0]
    assert all(deviation >= 0.1 for found in slopes.values() for _, deviation in found.values())


def test_per_accelerator_takes_the_accelerators_out_and_a_percentile_stands_for_its_latency():
    slopes = {"output_tokens_per_second": {"width": (0.5, 0.1)}, "ttft": {"width": (-1.0, 0.2)}}
    whole = trend_of("output_tokens_per_second", ("width",), slopes)
    each = trend_of("output_tokens_per_second_per_accelerator", ("width",), slopes)
    assert whole.means[0] - each.means[0] == pytest.approx(math.log(2))
    assert trend_of("chat.ttft_p99_ms", ("width",), slopes, sign=-1.0).means[0] == 1.0
    assert trend_of("goodput", ("width",), slopes) is None


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_the_first_pick_follows_the_prior_and_later_ones_what_was_measured(experiment, direction):
    space = experiment(text=TEXT).space
    slopes = {"output_tokens_per_second": {"sequences": (0.3, 0.2), "weights": (0.3, 0.2)}}
    history = History(GOALS)
    chooser = Chooser(space, history, goals=GOALS, slos=(), seed=0, slopes=slopes)
    params = {"tp": 1, "slots": 32, "weights": "bf16", "kv": "auto", "odd": 3}
    for number in range(14):
        if number:
            params = chooser.choose()
        if number == 1:
            assert (params["slots"], params["weights"]) == (128, "fp8")
        value = 100.0 * params["slots"] ** (0.4 * direction)
        score = Score((value,), ((value, value),), {}, {}, {})
        done = Deployment(number, Phase.SEARCH, 1, scores=[score], state=State.COMPLETE, seconds=9.0)
        history.add(TrialRecord(number, params, [done]))
    assert history.best().params["slots"] == (128 if direction > 0 else 8)
