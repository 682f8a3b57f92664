"""Validates objects against a CustomResourceDefinition strictly: unknown fields are refused."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import jsonschema
import yaml

Schema = dict[str, Any]
_TEXT = {"type": "string"}
_BY_API_SERVER = {"apiVersion": _TEXT, "kind": _TEXT, "metadata": {"type": "object"}}


def validator(path: Path, version: str) -> jsonschema.Draft7Validator:
    """For the objects of one version of the definition in a gzipped file."""
    definition = yaml.load(gzip.decompress(path.read_bytes()), yaml.CSafeLoader)
    (found,) = [each for each in definition["spec"]["versions"] if each["name"] == version]
    schema = _closed(found["schema"]["openAPIV3Schema"])
    schema["properties"] |= _BY_API_SERVER
    return jsonschema.Draft7Validator(schema)


def faults(checked: jsonschema.Draft7Validator, manifest: Any) -> list[str]:
    """What is wrong with an object, each with its place."""
    return [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
        for error in checked.iter_errors(manifest)
    ]


def _closed(schema: Schema) -> Schema:
    """With every object closed to fields that the schema does not name, unless it keeps them."""
    made = {key: value for key, value in schema.items() if not key.startswith("x-")}
    if schema.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    if schema.get("nullable"):
        made["type"] = [made["type"], "null"]
    if "properties" in schema:
        made["properties"] = {name: _closed(each) for name, each in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            made["additionalProperties"] = False
    if isinstance(schema.get("items"), dict):
        made["items"] = _closed(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = _closed(schema["additionalProperties"])
    return made
