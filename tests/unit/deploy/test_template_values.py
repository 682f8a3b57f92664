"""A value of an experiment never breaks out of its place in a template, however that is quoted."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tuner.deploy.kubernetes.template import render
from tuner.errors import UserError

TEMPLATES = Path(__file__).parents[3] / "templates"
SEED = Path(__file__).with_name("seed_inference_service.yaml.j2")
STYLES = """\
plain: {{ value }}
double: "{{ value }}"
single: '{{ value }}'
literal: |
  before
  {{ value }}
folded: >-
  {{ value }}
flow: [{{ value }}, "{{ value }}", {key: {{ value }}}]
within: pre-{{ value }}-post
within_double: "pre {{ value }} post"
key:
  {{ value }}: 1
{% if value == "never" %}
never: true
{% endif %}
# in a comment: {{ value }}
last: {{ value }}
"""
HOSTILE = st.text() | st.sampled_from(
    [
        "x\nprivileged: true",
        '"\nprivileged: true\n#"',
        "'\n---\nkind: Pod",
        "a: b",
        "- a",
        "{a: 1}",
        "[1]",
        "&a *a",
        "!!python/object:os.system",
        "{{ 7 * 7 }}",
        "{% raw %}",
        "# no comment",
        "yes",
        "null",
        "1e3",
        "022",
        "\\",
        "\\n\" \\' ' \"",
        "\x00\x85\u2028",
        "",
        " ",
        "v00000000000000000000000000x0z",
    ]
)


@given(HOSTILE)
@settings(max_examples=300)
def test_in_every_quoting_style_the_value_stays_where_it_was_put(value):
    if value == "never":
        return
    (found,) = render(STYLES, {"value": value}, name="styles")
    assert found == {
        "plain": value,
        "double": value,
        "single": value,
        "literal": f"before\n{value}\n",
        "folded": value,
        "flow": [value, value, {"key": value}],
        "within": f"pre-{value}-post",
        "within_double": f"pre {value} post",
        "key": {value: 1},
        "last": value,
    }


NAMES = ("isvc_name", "name", "namespace", "task_name", "experiment_id", "model_name", "model_kind", "image")
NAMES += ("runtime_name", "runtime_kind", "readiness_path", "scheme", "storage_uri")


def values_with(texts: list[str]) -> dict[str, Any]:
    """Everything that the templates may use, with a text of its own in each place."""
    drawn = iter(texts)
    text = lambda: next(drawn)  # noqa: E731
    values: dict[str, Any] = {name: text() for name in NAMES}
    model = "kind name display_name format format_version framework framework_version architecture model_type"
    return values | {
        "labels": {"l": text()},
        "annotations": {"a": text()},
        "owner_references": [{"name": text()}],
        "selector": {"s": text()},
        "params": {"tpsize": text()},
        "places": {},
        "accelerators": 1,
        "storage": {"type": "pvc", "pvc_name": text(), "pvc_subpath": text(), "mount_path": text()},
        "args": [text(), text()],
        "command": [text()],
        "env": [{"name": text(), "value": text()}],
        "resources": {"limits": {"cpu": text()}},
        "pod": {"nodeSelector": {"n": text()}, "priorityClassName": text()},
        "volumes": [{"name": text()}],
        "volume_mounts": [{"mountPath": text()}],
        "security_context": {"x": text()},
        "stop_seconds": 30,
        "container_port": 8000,
        "pvc": True,
        "configuration": {"architecture": text()},
        "model": {key: text() for key in model.split()}
        | {"parameter_count": text(), "vendor": text(), "storage_path": text()}
        | {"max_tokens": 1, "context_length": 2},
    }


COUNT = 60
MARKS = [f"mark{i:03}" for i in range(COUNT)]


def replaced(node: Any, by: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {by.get(key, key): replaced(item, by) for key, item in node.items()}
    if isinstance(node, list):
        return [replaced(item, by) for item in node]
    return by.get(node, node) if isinstance(node, str) else node


@pytest.mark.parametrize(
    "path", [*sorted(TEMPLATES.glob("*.yaml.j2")), SEED], ids=lambda p: p.name.removesuffix(".yaml.j2")
)
@given(texts=st.lists(HOSTILE.filter(bool), min_size=COUNT, max_size=COUNT))
@settings(max_examples=40, deadline=None)
@example(texts=['"\n  hostNetwork: true\n  x: "'] * COUNT)
def test_hostile_text_in_every_place_of_a_template_changes_nothing_around_it(path, texts):
    text = path.read_text()
    plain = render(text, values_with(MARKS), name=path.name)
    hostile = render(text, values_with(texts), name=path.name)
    # a condition on the value itself (`kind == "BaseModel"`) is the template's own affair
    assert hostile == replaced(plain, dict(zip(MARKS, texts, strict=True)))


def test_a_plain_place_keeps_the_values_type_and_a_quoted_one_is_text():
    text = 'a: {{ n }}\nb: "{{ n }}"\nc: {{ items }}\nd: {{ items | tojson }}\ne: {{ yes }}\nf: {{ none }}\n'
    values = {"n": 4, "items": [1, {"a": "b"}], "yes": True, "none": None}
    (found,) = render(text, values, name="t")
    assert found == {"a": 4, "b": "4", "c": [1, {"a": "b"}], "d": [1, {"a": "b"}], "e": True, "f": None}


def test_constants_in_a_template_are_values_too():
    (found,) = render('a: {{ "x: [" }}\nb: "{{ \'"\' }}"\n', {}, name="t")
    assert found == {"a": "x: [", "b": '"'}


def test_what_a_macro_or_a_set_block_makes_is_text():
    text = (
        "{% macro m(x) %}a: {{ x }}\nb: 1{% endmacro %}{% set s %}<{{ v }}>{% endset %}\n"
        "c: {{ m(v) }}\nd: '{{ s }}'\n"
    )
    (found,) = render(text, {"v": "x\ny: 2"}, name="t")
    assert found == {"c": "a: x\ny: 2\nb: 1", "d": "<x\ny: 2>"}


def test_several_documents_come_in_order_and_empty_ones_do_not_count():
    found = render("---\na: {{ v }}\n---\n---\nb: {{ v }}\n", {"v": 1}, name="t")
    assert found == [{"a": 1}, {"b": 1}]


def test_a_value_that_changes_after_it_was_put_out_stays_as_it_was():
    assert render("a: {{ v | upper }}\n", {"v": "b"}, name="t") == [{"a": "B"}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: {{ nothing }}\n", "template t line 2: 'nothing' is undefined"),
        ("a: 1\nb: {{ v.nothing }}\n", "template t line 2: 'str object' has no attribute 'nothing'"),
        ("a: {{ v\n", "template t line 1: "),
        ("a: 1\n\nb: {{ 1 + v }}\n", "template t line 3: TypeError"),
        ("a: 1\nb: [{{ v }}\n", "template t: no YAML (line 2 of what it renders to): "),
        (
            "a: 1\na: {{ v }}\n",
            "template t: no YAML (line 2 of what it renders to): the key 'a' stands twice",
        ),
        ("1: {{ v }}\n", "template t: no YAML (line 1 of what it renders to): the key 1 is no text"),
        ("a: !x {{ v }}\n", None),
        ("a: !x y\n", "template t: no YAML (line 1 of what it renders to): could not determine"),
        ("{% filter upper %}a: {{ v }}{% endfilter %}", "template t: no YAML: a filter block changes"),
        ("a: {{ v.__class__.__mro__ }}\n", "template t line 1: "),
        ("{% include 'x' %}\n", "template t line 1: "),
        ("a: {{ range }}\n", "template t line 1: TypeError: function cannot stand in a manifest"),
    ],
)
def test_what_is_wrong_with_a_template_is_one_line_with_its_place(text, said):
    if said is None:
        assert render(text, {"v": "x"}, name="t") == [{"a": "x"}]
        return
    with pytest.raises(UserError) as caught:
        render(text, {"v": "x"}, name="t")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
