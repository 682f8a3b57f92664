import math
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.spec.expression import Expression, ExpressionError
from tuner.spec.faults import Fault

NUMBERS = ("a", "b", "c")
VALUES = st.integers(-20, 20) | st.floats(-5, 5, allow_nan=False, width=16)


def _numeric() -> st.SearchStrategy[str]:
    leaf = st.sampled_from(NUMBERS) | st.integers(0, 9).map(str) | st.sampled_from(["0.5", "true", "-2"])

    def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return (
            st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner).map(
                lambda t: f"({t[0]} {t[1]} {t[2]})"
            )
            | st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(
                lambda t: f"{t[0]}({t[1]}, {t[2]})"
            )
            | inner.map(lambda x: f"abs({x})")
            | inner.map(lambda x: f"(-{x})")
            | st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} < 3 else {t[2]})")
        )

    return st.recursive(leaf, grow, max_leaves=6)


def _logical() -> st.SearchStrategy[str]:
    comparison = st.tuples(_numeric(), st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), _numeric()).map(
        " ".join
    )
    chained = st.tuples(_numeric(), _numeric(), _numeric()).map(lambda t: f"{t[0]} < {t[1]} <= {t[2]}")
    member = st.tuples(_numeric(), st.sampled_from(["in", "not in"])).map(
        lambda t: f"{t[0]} {t[1]} [1, 2, b]"
    )
    word = st.sampled_from(["w == 'x'", "w != 'y'", "w in ('x', 'z')"])
    return st.recursive(
        comparison | chained | member | word,
        lambda inner: (
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})")
            | inner.map(lambda x: f"(not {x})")
        ),
        max_leaves=4,
    )


@settings(max_examples=150, deadline=None)
@given(_numeric() | _logical(), VALUES, VALUES, VALUES, st.sampled_from("xyz"))
def test_an_expression_means_what_python_means_by_it(text, a, b, c, w):
    values = {"a": a, "b": b, "c": c, "w": w}
    expression = Expression(text, (*NUMBERS, "w"))
    try:
        wanted = eval(text, {"true": True, "false": False}, dict(values))
    except ZeroDivisionError:
        with pytest.raises(ExpressionError, match="divides by zero"):
            expression.evaluate(values)
        return
    found = expression.evaluate(values)
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "a.__class__",
        "a[0]",
        "[x for x in (1, 2)]",
        "lambda: 1",
        "(a := 1)",
        "f'{a}'",
        "'x' in w",
        "a is b",
        "a << 60",
        "~a",
        "a & b",
        "None",
        "b'x'",
        "1j",
        "abs(a, b)",
        "abs(*a)",
        "min(a)",
        "max(a, b, key=abs)",
        "default(1, 2)",
        "default(a)",
        "print(a)",
        "a; b",
        "a = 1",
        "",
        "(" * 300,
        "not " * 400 + "a",
        "1e40",
        "a\0",
        "1" * 2000,
    ],
)
def test_what_is_not_allowed_is_refused_when_the_file_is_read(text):
    with pytest.raises(Fault):
        Expression(text, (*NUMBERS, "w"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("9 ** 9 ** 9", "a power beyond"),
        ("a ** 70", "a power beyond"),
        ("(0 - a) ** 0.5", "root of a negative number"),
        ("1e20 * 1e20", "a result beyond"),
        ("w * 3", "mixes text and numbers"),
        ("w + w", "mixes text and numbers"),
        ("w % 3", "mixes text and numbers"),
        ("w < 3", "mixes text and numbers"),
        ("min(w, a)", "mixes text and numbers"),
        ("-w", "mixes text and numbers"),
        ("a / 0", "divides by zero"),
        ("0 ** -1", "divides by zero"),
    ],
)
def test_what_would_cost_without_bound_or_has_no_value_says_so(text, message):
    with pytest.raises(ExpressionError, match=message):
        Expression(text, (*NUMBERS, "w")).evaluate({"a": 2, "b": 1, "c": 0, "w": "x"})


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(Fault, match=r"got the unknown parameter 'batchs'; would be right: batch_size"):
        Expression("batchs > 1", ["threads", "batch_size"])


def test_names_are_known_and_without_a_value_it_is_not_applicable():
    expression = Expression("a > 1 or default(b, 2) > 1", NUMBERS)
    assert expression.names == {"a", "b"}
    assert expression.needed == {"a"}
    assert not expression.applicable({"b": 1})
    assert not expression.true({"b": 1})
    assert expression.true({"a": 0})
    assert not expression.true({"a": 0, "b": 1})


def test_a_parameter_called_like_a_word_is_the_parameter():
    assert Expression("true == 5", ["true"]).true({"true": 5})


def test_it_survives_pickling():
    assert pickle.loads(pickle.dumps(Expression("a ** 2 > b", NUMBERS))).true({"a": 3, "b": 8})


def test_and_or_stop_early():
    assert Expression("a == 0 or 1 / a > 0", NUMBERS).true({"a": 0})
    assert math.isclose(float(Expression("a and 2.5", NUMBERS).evaluate({"a": 1})), 2.5)
