"""Has a cluster know kinds of its own: custom resource definitions, of whatever size."""

from __future__ import annotations

import hashlib
import json

from kubernetes import client
from objects import Manifest, knows, metadata_of, until

_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_DIGEST = "tuner-tests/digest"


def install_definitions(api: client.ApiClient, definitions: list[Manifest]) -> None:
    """Create or replace them, and wait until their kinds are served; those that are there already are left.

    Not by `apply`: on the real definitions of OME that takes the API server seconds each.
    """
    extensions = client.ApiextensionsV1Api(api)
    for definition in definitions:
        name = definition["metadata"]["name"]
        digest = hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()
        annotations = definition["metadata"].get("annotations", {}) | {_DIGEST: digest}
        ours = definition | {"metadata": definition["metadata"] | {"annotations": annotations}}
        found = metadata_of(api, f"{_DEFINITIONS}/{name}")
        if found is None:
            extensions.create_custom_resource_definition(ours)
        elif found.get("annotations", {}).get(_DIGEST) != digest:
            ours["metadata"]["resourceVersion"] = found["resourceVersion"]
            extensions.replace_custom_resource_definition(name, ours)
    for definition in definitions:
        spec = definition["spec"]
        version = f"{spec['group']}/{spec['versions'][0]['name']}"
        until(
            lambda version=version, kind=spec["names"]["kind"]: knows(api, version, kind),
            seconds=60,
            what=f"{version} {spec['names']['kind']} is served",
        )
