import itertools
import pickle
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.errors import SpecError
from tuner.spec import Space
from tuner.spec.types import parse_parameter


def space(constraints=(), *, accelerators=0, baseline=None, **definitions) -> Space:
    parameters = {name: parse_parameter(d) for name, d in definitions.items()}
    return Space(parameters, constraints, accelerators=accelerators, baseline=baseline)


SPECULATIVE = {
    "steps": {"low": 1, "high": 5, "when": "mode == 'eagle'"},
    "mode": {"values": ["none", "eagle", "ngram"]},
    "tp": {"values": [1, 2, 4]},
    "depth": {"values": [1, 2], "when": "steps > 3"},
}


def test_an_inactive_parameter_is_not_part_of_the_configuration():
    found = space(**SPECULATIVE)
    assert found.active({"mode": "none", "steps": 5, "depth": 2, "tp": 1}) == {"mode": "none", "tp": 1}
    assert found.active({"mode": "eagle", "steps": 2, "depth": 2}) == {"steps": 2, "mode": "eagle"}
    assert list(found.active({"tp": 1, "mode": "eagle", "steps": 4})) == ["steps", "mode", "tp"]


def test_each_configuration_is_counted_once():
    found = space(**SPECULATIVE)
    # per tp: none, ngram, and eagle with steps 1 to 3 or (4, 5) x depth
    assert found.size() == 3 * (2 + 3 + 2 * 2)
    assert len(list(found.grid())) == len({found.key(c) for c in found.grid()}) == found.size()


def test_the_last_parameter_of_a_grid_changes_fastest():
    found = space(a={"values": [1, 2]}, b={"values": ["x", "y"]})
    assert [(c["a"], c["b"]) for c in found.grid()] == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]


def test_a_constraint_that_names_an_inactive_or_absent_parameter_is_not_applied():
    found = space(["steps * tp <= 4"], **SPECULATIVE)
    assert found.valid({"mode": "none", "steps": 5, "tp": 4})
    assert found.valid({"mode": "eagle", "steps": 5})
    assert found.check({"mode": "eagle", "steps": 5, "tp": 4}) == [
        "constraint 'steps * tp <= 4' is not met by steps=5, tp=4"
    ]


def test_check_says_what_is_wrong_with_a_configuration():
    found = space(["a < b"], a={"low": 1, "high": 8}, b={"low": 0.5, "high": 9.5})
    assert found.check({"a": 9, "bb": 1}) == [
        "unknown parameter 'bb'; would be right: b",
        "a: got 9; would be right: 1 to 8",
    ]
    assert found.valid({})
    assert found.valid({"a": 1, "b": 2})


def test_a_constraint_without_a_value_is_not_met():
    found = space(["a / b >= 1"], a={"values": [1, 2]}, b={"values": [0, 1]})
    assert found.check({"a": 1, "b": 0}) == ["constraint 'a / b >= 1' divides by zero"]
    assert found.size() == 2


def test_a_continuous_space_has_no_size_and_no_grid():
    found = space(a={"low": 0.0, "high": 1.0})
    assert found.size() is None
    with pytest.raises(SpecError, match=r"parameters.a: got a range without steps"):
        next(found.grid())


def test_a_space_of_more_than_a_million_points_is_not_counted():
    assert space(a={"low": 1, "high": 1000}, b={"low": 1, "high": 1000}).size() == 1_000_000
    assert space(a={"low": 1, "high": 1000}, b={"low": 1, "high": 1001}).size() is None


def test_sampling_finds_the_one_configuration_that_is_left():
    found = space(["a + b + c == 3000"], **{n: {"low": 1, "high": 1000} for n in "abc"})
    with pytest.raises(SpecError, match="no valid configuration in"):
        found.sample(random.Random(0))
    smaller = space(["a + b + c == 120"], **{n: {"low": 1, "high": 40} for n in "abc"})
    assert smaller.sample(random.Random(0)) == {"a": 40, "b": 40, "c": 40}


def test_the_key_does_not_tell_numbers_of_another_type_apart():
    found = space(a={"low": 1, "high": 8}, b={"low": 0.1, "high": 0.5, "step": 0.1})
    assert found.key({"a": 2, "b": 0.3}) == found.key({"b": 0.1 + 0.2, "a": 2.0})
    assert found.key({"a": 2}) != found.key({"a": 2, "b": 0.3})


def test_distance_is_the_mean_over_parameters():
    found = space(a={"low": 0, "high": 10}, b={"values": ["x", "y"]})
    assert found.distance({"a": 0, "b": "x"}, {"a": 5, "b": "y"}) == pytest.approx(0.75)
    assert found.distance({"a": 0}, {"a": 0, "b": "x"}) == pytest.approx(0.5)
    assert found.distance({}, {}) == 0


def test_values_go_to_flags_variables_and_places():
    found = space(
        slots={"values": [1, 2], "flag": "--parallel"},
        threads={"low": 1, "high": 4, "env": "OMP_NUM_THREADS"},
        variant={"values": ["full", "q4"], "place": "storage.pvc_subpath"},
        flash={"type": "bool", "style": "on_off", "env": "FLASH"},
        metrics={"type": "bool"},
    )
    params = {"metrics": True, "slots": 2.0, "threads": 3, "variant": "q4", "flash": True}
    assert found.arguments(params) == ("--parallel", "2", "--metrics")
    assert found.environment(params) == {"OMP_NUM_THREADS": "3", "FLASH": "on"}
    assert found.places(params) == {"storage.pvc_subpath": "q4"}
    assert found.arguments({}) == ()


def test_accelerators_follow_the_parameters():
    sizes = {"tp": {"values": [1, 2, 4]}, "dp": {"values": [1, 2]}}
    assert space(accelerators=3, **sizes).accelerators({}) == 3
    assert space(accelerators="tp * dp", **sizes).accelerators({"tp": 4, "dp": 2}) == 8
    assert space(accelerators="default(tp, 1) * default(dp, 1)", **sizes).accelerators({"tp": 2}) == 2
    with pytest.raises(
        SpecError, match=r"got no value for 'dp'; would be right: give it one, or default\(dp, 1\)"
    ):
        space(accelerators="tp * dp", **sizes).accelerators({"tp": 4})
    with pytest.raises(SpecError, match=r"got 0.5 for tp=1; would be right: a whole number from 0 on"):
        space(accelerators="tp / 2", **sizes).accelerators({"tp": 1})


def test_the_baseline_may_leave_parameters_to_the_engine():
    sizes = {"tp": {"values": [1, 2, 4]}, "ratio": {"low": 0.1, "high": 0.9, "step": 0.1}}
    assert space(**sizes).baseline == {}
    assert space(baseline={"ratio": 0.5}, **sizes).baseline == {"ratio": 0.5}


def test_a_million_points_joined_by_one_constraint_are_counted_in_seconds():
    found = space(["a + b + c + d >= 0"], **{n: {"low": 0, "high": 17} for n in "abcd"})
    assert found.size() == 18**4


def test_a_space_survives_pickling():
    assert (
        pickle.loads(pickle.dumps(space(["tp < 4"], **SPECULATIVE))).size()
        == space(["tp < 4"], **SPECULATIVE).size()
    )


PARAMETERS = st.fixed_dictionaries(
    {
        "a": st.sampled_from(
            [{"values": [1, 2, 4]}, {"low": 0, "high": 3}, {"low": 0.0, "high": 1.0, "step": 0.5}]
        ),
        "b": st.sampled_from(
            [{"values": [3]}, {"low": 1, "high": 7, "step": 3}, {"values": [0, 5], "when": "a > 1"}]
        ),
        "c": st.sampled_from(
            [{"type": "bool"}, {"values": ["x", "y"], "when": "b >= 3"}, {"type": "bool", "when": "a"}]
        ),
    }
)
CONSTRAINTS = st.lists(
    st.sampled_from(
        ["a < b", "a + b != 5", "not (a == 1 and b == 3)", "default(c, false) != 'x'", "b / a < 4"]
    ),
    max_size=2,
)


@settings(max_examples=80, deadline=None)
@given(PARAMETERS, CONSTRAINTS)
def test_grid_size_valid_and_sample_agree_with_brute_force(definitions, constraints):
    found = space(constraints, **definitions)
    raw = itertools.product(*(p.grid() for p in found.parameters.values()))
    points = [dict(zip(found.parameters, values, strict=True)) for values in raw]
    wanted = {found.key(p) for p in points if found.valid(p)}
    grid = list(found.grid())
    assert {found.key(c) for c in grid} == wanted
    assert len(grid) == found.size() == len(wanted)
    assert all(found.valid(c) and found.active(c) == c for c in grid)
    if wanted:
        drawn = found.sample(random.Random(0))
        assert found.key(drawn) in wanted
        assert drawn == found.active(drawn)
