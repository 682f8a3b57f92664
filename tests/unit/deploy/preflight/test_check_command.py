"""`tuner check`: what it prints, and its exit code."""

from __future__ import annotations

import argparse
import json
import socket
from pathlib import Path

import pytest
import yaml

from tuner.cli import check

QUICKSTART = "search_spaces/quickstart.yaml"
TASK = "search_spaces/llama_task.json"


@pytest.fixture
def checked(capsys, monkeypatch):
    """`checked(SPEC, "--json")`: (exit code, output)."""
    monkeypatch.chdir(Path(__file__).parents[4])

    def run(*arguments: str) -> tuple[int, str]:
        parser = argparse.ArgumentParser()
        check.add_arguments(parser)
        code = check.run(parser.parse_args(arguments))
        return code, capsys.readouterr().out

    return run


def kubeconfig(tmp_path: Path, server: str) -> str:
    path = tmp_path / "config"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(content))
    return str(path)


def test_a_good_file_is_good_offline(checked):
    code, out = checked(TASK, "--offline")
    assert code == 0
    assert all(line.startswith("ok") for line in out.splitlines())


def test_what_a_template_renders_to_is_the_persons_mistake(checked, tmp_path):
    template = tmp_path / "mine.yaml.j2"
    template.write_text("apiVersion: ome.io/v1beta1\nkind: InferenceService\nspec: {engine: {{ nothing }}}\n")
    code, out = checked(TASK, "--offline", "--set", f"deploy.template={template}")
    assert code == 2
    assert "error    templates: " in out
    assert "nothing" in out


def test_a_key_that_is_wrong_is_a_finding_in_json_too(checked):
    code, out = checked(QUICKSTART, "--json", "--set", "deploy.backend=nowhere")
    found = json.loads(out)
    assert code == found["exit_code"] == 2
    (finding,) = found["findings"]
    assert finding["level"] == "error"
    assert "nowhere" in finding["text"]


def test_a_local_experiment_has_its_engine_looked_at(checked):
    assert checked(QUICKSTART, "--set", "deploy.binary=no-such-engine")[0] != 0


def test_no_cluster_to_be_found_is_the_persons_to_say(checked, monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    code, out = checked(TASK)
    assert code == 2
    assert "API server: no Kubernetes cluster" in out


def test_a_server_that_is_gone_is_one_line_and_the_worlds(checked, monkeypatch, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("KUBECONFIG", kubeconfig(tmp_path, f"http://127.0.0.1:{port}"))
    code, out = checked(TASK)
    assert code == 1
    (line,) = [line for line in out.splitlines() if not line.startswith("ok")]
    assert f"127.0.0.1:{port} does not answer" in line
