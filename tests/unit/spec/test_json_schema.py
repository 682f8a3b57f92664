import re
from pathlib import Path
from typing import Any

import pytest

from tuner.spec import Experiment, json_schema
from tuner.spec.types import TYPES


def _references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if "$ref" in node else set()
        return own.union(*(_references(v) for v in node.values()))
    return set().union(*(_references(v) for v in node)) if isinstance(node, list) else set()


def test_every_reference_leads_somewhere():
    schema = json_schema()
    assert {r.removeprefix("#/$defs/") for r in _references(schema)} <= set(schema["$defs"])


def test_every_section_and_parameter_type_is_described():
    schema = json_schema()
    assert set(schema["properties"]) == set(Experiment.model_fields)
    forms = schema["properties"]["parameters"]["additionalProperties"]["anyOf"]
    assert {f["$ref"].rpartition("/")[2] for f in forms} == {k.__name__ for k in TYPES.values()}
    assert "values" in schema["$defs"]["Choice"]["properties"]


def test_unknown_keys_are_refused_and_the_name_may_be_left_out():
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert all(d["additionalProperties"] is False for d in schema["$defs"].values())
    assert set(schema["required"]) == {"model", "parameters", "workload"}


def test_the_short_forms_of_workload_are_allowed():
    schema = json_schema()
    single = schema["$defs"]["SinglePointWorkload"]["properties"]
    assert {"scenario", "concurrency", "rounds"} <= set(single)
    assert "points" not in single


def test_the_reference_names_every_key_and_its_example_loads(read):
    text = (Path(__file__).parents[3] / "docs" / "experiment.md").read_text()
    schema = json_schema()
    keys = {k for d in (schema, *schema["$defs"].values()) for k in d.get("properties", {})}
    assert not {k for k in keys if not re.search(rf"\b{k}\b", text)}
    example = "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))
    assert read(example).space.size() > 100


def test_the_schema_takes_what_loads_and_refuses_a_typing_mistake(sections):
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.check_schema(json_schema())
    text = "parameters: {a: {values: [1, 2]}, b: {low: 0.1, high: 0.9}, c: {type: bool, when: a > 1}}\n"
    content = sections(text + "search: {parallel: 2}\n").resolved()
    assert validator.is_valid(content)
    assert validator.is_valid({**content, "workload": {"scenario": "D(1,2)", "concurrency": 4, "rounds": 2}})
    assert not validator.is_valid({**content, "search": {"trails": 2}})
    assert not validator.is_valid({**content, "parameters": {"a": {"vlaues": [1]}}})
