"""The controller manager of OME 0.1.5, a program that somebody has, in the place of this one.

    python ome_real_manager.py --kubeconfig FILE --manager PROGRAM

Makes what it wants to find in a cluster first, where that is not there: its namespace and configuration,
and the kinds of its other controllers, as definitions that take anything. The kinds of models, runtimes and
InferenceServices are there already.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from kubernetes import client, config

NAMESPACE = "ome"
_SETTINGS = {
    "ingress": {
        "ingressGateway": "none/none",  # it insists on both, and makes no use of them
        "ingressService": "none.none.svc.cluster.local",
        "disableIstioVirtualHost": True,
        "disableIngressCreation": True,
    },
    "deploy": {"defaultDeploymentMode": "RawDeployment"},
    "multinodeProber": {},
}
_OTHER_KINDS = {
    "AcceleratorClass": ("acceleratorclasses", "Cluster"),
    "BenchmarkJob": ("benchmarkjobs", "Namespaced"),
    "FineTunedWeight": ("finetunedweights", "Cluster"),
}


def prepare(api: client.ApiClient) -> None:
    """Make what the manager looks for when it starts, where it is not there."""
    core, extensions = client.CoreV1Api(api), client.ApiextensionsV1Api(api)
    settings = {
        "metadata": {"name": "inferenceservice-config", "namespace": NAMESPACE},
        "data": {key: json.dumps(value) for key, value in _SETTINGS.items()},
    }
    _unless_there(core.create_namespace, {"metadata": {"name": NAMESPACE}})
    _unless_there(core.create_namespaced_config_map, NAMESPACE, settings)
    for kind, (plural, scope) in _OTHER_KINDS.items():
        _unless_there(extensions.create_custom_resource_definition, _definition(kind, plural, scope))


def _unless_there(create: Any, *arguments: Any) -> None:
    try:
        create(*arguments)
    except client.ApiException as error:
        if error.status != 409:
            raise


def _definition(kind: str, plural: str, scope: str) -> dict[str, Any]:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1beta1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": anything},
    }
    names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
    return {
        "metadata": {"name": f"{plural}.ome.io"},
        "spec": {"group": "ome.io", "scope": scope, "names": names, "versions": [version]},
    }


def main() -> None:
    """Prepare the cluster, then become the manager."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--manager", type=Path, required=True)
    chosen = parser.parse_args()
    prepare(config.new_client_from_config(str(chosen.kubeconfig)))
    # Its webhooks are off unless --webhook is given, and it shows no metrics and no health.
    flags = ["--metrics-bind-address=0", "--health-probe-addr=0", f"--kubeconfig={chosen.kubeconfig}"]
    os.execv(chosen.manager, [str(chosen.manager), *flags])


if __name__ == "__main__":
    main()
