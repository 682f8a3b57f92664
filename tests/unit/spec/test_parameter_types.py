import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.spec import Categorical, FloatRange, IntRange
from tuner.spec.types import TYPES, parse_parameter

DEFINITIONS = [
    {"values": [1, 2, 4, 8]},
    {"values": ["on", "off", "auto"]},
    {"values": [True, "auto", 3]},
    {"values": [7]},
    {"low": 1, "high": 64},
    {"low": -8, "high": 8, "step": 4},
    {"low": 1, "high": 4096, "log": True},
    {"low": 3, "high": 3},
    {"low": 0.7, "high": 0.95, "step": 0.01},
    {"low": 0, "high": 1, "step": 0.1},
    {"low": 0.001, "high": 10.0, "log": True},
    {"low": 0.0, "high": 1.0},
    {"low": 0.5, "high": 0.5},
    {"type": "float", "low": 1, "high": 9},
    {"type": "bool"},
    {"values": [True, False]},
]


@pytest.mark.parametrize("definition", DEFINITIONS, ids=str)
def test_every_type_keeps_its_promises(definition):
    parameter = parse_parameter(definition)
    rng = random.Random(1)
    drawn = [parameter.sample(rng) for _ in range(200)]
    grid = parameter.grid()
    assert all(parameter.contains(v) for v in drawn)
    assert all(parameter.canonical(v) == v and type(parameter.canonical(v)) is type(v) for v in drawn)
    assert all(
        0 <= parameter.distance(a, b) <= 1 and parameter.distance(a, a) == 0
        for a, b in itertools.pairwise(drawn)
    )
    assert not parameter.contains("nothing like it")
    assert not parameter.contains(None)
    assert not parameter.contains(10**9)
    assert not parameter.contains(float("nan"))
    assert parameter.count() == (None if grid is None else len(grid))
    if grid is not None:
        assert len({parameter.render(v) for v in grid}) == len(grid)
        assert {parameter.render(v) for v in drawn} <= {parameter.render(v) for v in grid}
        assert all(parameter.contains(v) for v in grid)
    assert parse_parameter(parameter.model_dump(mode="json", exclude_none=True)) == parameter
    assert parameter.describe()


def test_the_neutral_distributions():
    found = [parse_parameter(d).distribution() for d in DEFINITIONS]
    assert found[0] == Categorical((1, 2, 4, 8))
    assert found[5] == IntRange(-8, 8, 4)
    assert found[6] == IntRange(1, 4096, 1, log=True)
    assert found[8] == FloatRange(0.7, 0.95, 0.01)
    assert found[11] == FloatRange(0.0, 1.0, None)
    assert found[14] == Categorical((False, True))


def test_numbers_with_a_point_make_a_real_and_whole_ones_an_integer():
    kinds = [type(parse_parameter(d)).__name__ for d in DEFINITIONS]
    assert kinds[:4] == ["Choice"] * 4
    assert kinds[4:8] == ["Integer"] * 4
    assert kinds[8:14] == ["Real"] * 6
    assert kinds[14:] == ["Boolean"] * 2


def test_steps_are_exact_in_decimal():
    parameter = parse_parameter({"low": 0.7, "high": 0.95, "step": 0.01})
    assert parameter.grid()[1:4] == (0.71, 0.72, 0.73)
    assert parameter.canonical(0.7 + 0.01 * 3) == 0.73
    assert parameter.canonical(0.735) is None


def test_a_log_range_draws_small_values_as_often_as_large_ones():
    parameter, rng = parse_parameter({"low": 1, "high": 1024, "log": True}), random.Random(0)
    below = sum(parameter.sample(rng) <= 32 for _ in range(2000))
    assert 900 < below < 1200
    assert parameter.distance(1, 32) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("definition", "value", "words"),
    [
        ({"values": [1, 2]}, 2, ("--kv-size", "2")),
        ({"values": [1, 2], "flag": "-np"}, 2, ("-np", "2")),
        ({"values": ["a"], "flag": "--mode="}, "a", ("--mode=a",)),
        ({"values": [1], "env": "N"}, 1, ()),
        ({"values": ["q4"], "place": "storage.pvc_subpath"}, "q4", ()),
        ({"low": 0.1, "high": 0.5, "step": 0.1}, 0.3, ("--kv-size", "0.3")),
        ({"values": [True, "auto"]}, True, ("--kv-size", "true")),
        ({"type": "bool"}, True, ("--kv-size",)),
        ({"type": "bool"}, False, ()),
        ({"type": "bool", "style": "on_off"}, True, ("--kv-size", "on")),
        ({"type": "bool", "style": "on_off"}, False, ("--kv-size", "off")),
        ({"type": "bool", "style": "no"}, True, ("--kv-size",)),
        ({"type": "bool", "style": "no"}, False, ("--no-kv-size",)),
        ({"type": "bool", "style": "no", "env": "X"}, False, ()),
    ],
)
def test_a_value_becomes_argv_words(definition, value, words):
    assert parse_parameter(definition).arguments("kv_size", value) == words


@settings(max_examples=60, deadline=None)
@given(st.integers(-100, 100), st.integers(0, 50), st.integers(1, 9))
def test_an_integer_contains_exactly_its_grid(low, steps, step):
    parameter = parse_parameter({"low": low, "high": low + steps * step, "step": step})
    grid = set(parameter.grid())
    assert all(parameter.contains(v) == (v in grid) for v in range(low - 3, low + steps * step + 4))
    assert parameter.contains(float(low))
    assert not parameter.contains(low + 0.5)


def test_types_are_found_by_their_files():
    assert sorted(TYPES) == ["bool", "choice", "float", "int"]
