"""The JSON Schema of an experiment file, for editors."""

from __future__ import annotations

from typing import Any

from tuner.spec.experiment import Experiment
from tuner.spec.types import TYPES
from tuner.spec.workload import LoadPoint


def json_schema() -> dict[str, Any]:
    """Draft 2020-12; the short forms of parameters, workload and objective included."""
    schema = Experiment.model_json_schema()
    definitions = schema["$defs"]
    definitions.pop("Parameter", None)
    for kind in TYPES.values():
        definitions[kind.__name__] = kind.model_json_schema()
    properties = schema["properties"]
    parameter_forms = [{"$ref": f"#/$defs/{kind.__name__}"} for kind in TYPES.values()]
    properties["parameters"]["additionalProperties"] = {"anyOf": parameter_forms}
    properties["objective"] = {
        "description": properties["objective"].get("description", ""),
        "anyOf": [
            {"$ref": "#/$defs/Goal"},
            {"type": "array", "items": {"$ref": "#/$defs/Goal"}, "minItems": 1},
        ],
    }
    points = {"type": "array", "items": {"$ref": "#/$defs/LoadPoint"}, "minItems": 1}
    properties["workload"] = {
        "description": "One load point with the rounds, a list of named points, or `points` with the rounds.",
        "anyOf": [{"$ref": "#/$defs/Workload"}, {"$ref": "#/$defs/SinglePointWorkload"}, points],
    }
    definitions["SinglePointWorkload"] = _single_point(definitions)
    definitions["Accuracy"]["properties"]["command"]["anyOf"].append({"type": "string"})
    schema["required"] = [k for k in schema["required"] if k != "name"]
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Experiment"
    return schema


def _single_point(definitions: dict[str, Any]) -> dict[str, Any]:
    point, workload = definitions[LoadPoint.__name__], definitions["Workload"]
    rest = {k: v for k, v in workload["properties"].items() if k != "points"}
    return {
        "type": "object",
        "additionalProperties": False,
        "description": point.get("description", ""),
        "properties": {**point["properties"], **rest},
        "required": point["required"],
    }
