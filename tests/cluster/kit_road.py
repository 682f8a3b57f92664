"""The desk at which an operator walks the page: a copy of cluster/ with what belongs into it written.

Images are the one thing that cannot be had here: in the copy, pods of the project's image run the host's
programs, as kit_ray.py has it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kit_ray
import yaml
from engine_pod_parts import IMAGE
from kit_files import KIT, ROOT, documents
from operator_page import experiment

PLACE = "meta/llama-3-2-1b-instruct"
# The page's search is for a real model on real accelerators; here it is a small one, for a minute.
SMALLER = [
    "search.trials=2",
    "search.parallel=1",
    "search.budget.hours=0.1",
    "workload.scenario=D(8,8)",
    "workload.concurrency=2",
    "workload.rounds=1",
    "workload.round_seconds=2",
    "workload.warmup_seconds=0.5",
    "slo.ttft_p95_ms=60000",
    "validation.deployments=2",
    "validation.top=1",
    "deploy.stop_seconds=5",
    "deploy.pod.shared_memory=64Mi",
]


@dataclass
class Desk:
    """Where an operator works: a copy of cluster/, the experiment, kubectl and tuner."""

    folder: Path
    kubeconfig: Path
    lab: Any

    def run(self, command: str, *, seconds: float = 120) -> str:
        """What it prints; it has to succeed."""
        ended = self.ended(command, seconds=seconds)
        assert ended.returncode == 0, (command, ended.stdout[-3000:], ended.stderr[-3000:])
        return ended.stdout

    def ended(
        self, command: str, kubeconfig: Path | None = None, *, seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Its end, whatever it is."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.folder,
            env=self.lab.environment | {"PATH": path, "KUBECONFIG": str(kubeconfig or self.kubeconfig)},
            capture_output=True,
            check=False,
            text=True,
            timeout=seconds,
        )


def laid_out(folder: Path, *, models: Path, node: str, parts: Any) -> None:
    """The copy: the volume on a node, the experiment, the token, and the host's programs for the image's."""
    shutil.copytree(KIT, folder / "cluster", symlinks=True)
    volume = folder / "cluster" / "model" / "pv-hostpath.yaml"
    written = volume.read_text().replace("path: /srv/models", f"path: {models}")
    volume.write_text(written.replace("values: [node1]", f"values: [{node}]"))
    (folder / "my-model.yaml").write_text(experiment())
    (folder / "TOKENFILE").write_text("token")
    _with_programs(folder / "cluster" / "ray" / "runs.yaml", parts, lambda pod: pod)
    _with_programs(folder / "cluster" / "model" / "fill.yaml", parts, lambda job: job["spec"]["template"])


def _with_programs(path: Path, parts: Any, pod_of: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    found = documents(path)
    for each in found:
        spec = pod_of(each)["spec"]
        (container,) = spec["containers"]
        container["image"] = IMAGE
        if each["kind"] == "Job":  # its script needs the Hub: tests/unit/kit runs it against a stand-in
            container["args"] = ["echo filled"]
        spec["volumes"] += parts.volumes
        container["volumeMounts"] += parts.mounts
        container.setdefault("env", []).extend(kit_ray.programs(parts))
        for one in ("templates", "search_spaces"):  # of an editable install
            spec["volumes"].append({"name": one.replace("_", "-"), "hostPath": {"path": str(ROOT / one)}})
            mount = {"name": one.replace("_", "-"), "mountPath": str(ROOT / one), "readOnly": True}
            container["volumeMounts"].append(mount)
    path.write_text(yaml.safe_dump_all(found))


def run_directory(folder: Path) -> list[dict[str, Any]]:
    """A volume for the claim that the page has an operator make for runs."""
    (volume, _) = kit_ray.run_directory("autotuner", folder)
    return [volume]
