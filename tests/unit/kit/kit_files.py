"""What cluster/ holds: its manifests by file, its overlays rendered, and every pod in them."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
ROOT = Path(__file__).parents[3]
KIT = ROOT / "cluster"
OVERLAYS = sorted(path.parent for path in (KIT / "overlays").glob("*/kustomization.yaml"))
_KNOWN = {"apiVersion", "kind", "resources", "patches", "images"}
_TEMPLATES = {  # where kinds have pods
    "Pod": [()],
    "Deployment": [("spec", "template")],
    "StatefulSet": [("spec", "template")],
    "Job": [("spec", "template")],
    "CronJob": [("spec", "jobTemplate", "spec", "template")],
    "RayCluster": [("spec",)],
    "RayJob": [("spec", "submitterPodTemplate"), ("spec", "rayClusterSpec")],
}


@dataclass(frozen=True)
class Pod:
    """A pod that some manifest makes; `name` tells file, kind and place."""

    name: str
    metadata: Manifest
    spec: Manifest

    @property
    def containers(self) -> list[Manifest]:
        return self.spec["containers"] + self.spec.get("initContainers", [])


def documents(path: Path) -> list[Manifest]:
    """The manifests in a file."""
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


def crds(folder: str) -> list[Manifest]:
    """The definitions in a folder of gzipped YAML."""
    files = sorted(Path(folder).glob("*.yaml.gz"))
    assert files, f"{folder}: no *.yaml.gz in it"
    return [yaml.load(gzip.decompress(path.read_bytes()), yaml.CSafeLoader) for path in files]


def manifest_files() -> list[Path]:
    """Every file with manifests; links, which are the old paths of some, are left out."""
    found = [path for path in sorted(KIT.rglob("*.yaml")) if not path.is_symlink()]
    return [path for path in found if path.name != "kustomization.yaml"]


def pods() -> Iterator[Pod]:
    """Every pod that a manifest in cluster/ makes."""
    for path in manifest_files():
        for manifest in documents(path):
            for place in _TEMPLATES.get(manifest["kind"], []):
                found: Any = manifest
                for key in place:
                    found = found[key]
                name = f"{path.relative_to(KIT)} {manifest['kind']}"
                for where, template in _templates(found):
                    yield Pod(f"{name}{where}", template.get("metadata", {}), template["spec"])


def _templates(found: Manifest) -> Iterator[tuple[str, Manifest]]:
    if "headGroupSpec" not in found:
        yield "", found
        return
    yield " head", found["headGroupSpec"]["template"]
    for group in found["workerGroupSpecs"]:
        yield f" {group['groupName']}", group["template"]


def rendered(folder: Path) -> list[Manifest]:
    """What `kubectl kustomize` makes of a folder, by the few features of it that cluster/ uses.

    Raises:
        AssertionError: it uses another one, or a file outside of its folder, which kustomize does not read.
    """
    made = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(made) <= _KNOWN, f"{folder}: unknown to this loader: {set(made) - _KNOWN}"
    found: list[Manifest] = []
    for name in made["resources"]:
        path = folder / name
        if path.is_dir():
            found += rendered(path)
        else:
            assert path.resolve().is_relative_to(folder.resolve()), f"{path} lies outside of {folder}"
            found += documents(path)
    for patch in made.get("patches", []):
        (target,) = [
            each
            for each in found
            if (each["kind"], each["metadata"]["name"]) == (patch["target"]["kind"], patch["target"]["name"])
        ]
        for step in yaml.safe_load(patch["patch"]):
            assert step["op"] == "add"
            *way, last = step["path"].strip("/").split("/")
            place = target
            for key in way:
                place = place[key]
            place[last] = step["value"]
    for image in made.get("images", []):
        _retag(found, image["name"], f"{image['newName']}:{image['newTag']}")
    return found


def _retag(found: Any, name: str, wanted: str) -> None:
    if isinstance(found, dict):
        if re.fullmatch(rf"{re.escape(name)}(:.*)?", str(found.get("image"))):
            found["image"] = wanted
        found = list(found.values())
    if isinstance(found, list):
        for each in found:
            _retag(each, name, wanted)


def by_name(manifests: list[Manifest]) -> dict[tuple[str, str], Manifest]:
    """By kind and `namespace/name`."""
    return {
        (each["kind"], f"{each['metadata'].get('namespace', '')}/{each['metadata']['name']}"): each
        for each in manifests
    }
