"""`tuner check` names every broken set-up with its remedy, on a real cluster, and no search starts on one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import search_site
from admission_parts import Pods, install_policies
from broken_ground import Broken, Ground
from broken_rows import ROWS
from broken_ways import acts
from kubernetes import client
from newer_ome import looks_at_creation, mounts_itself

from tuner.cli import check
from tuner.search.command import main as search

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def ground(
    new_namespace: Callable[..., Any],
    admin_api: client.ApiClient,
    apply: Callable[..., Any],
    remove: Callable[..., Any],
    until: Callable[..., Any],
    ome_definitions: None,
    engine_parts: Any,
    nodes: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Ground]:
    """A namespace in which everything is there, mounted by the policy."""
    install_policies(admin_api, apply)
    with (
        new_namespace("set-ups", mount="policy", reader=True) as namespace,
        search_site.site(
            namespace,
            api=admin_api,
            apply=apply,
            remove=remove,
            parts=engine_parts,
            folder=tmp_path_factory.mktemp("set-ups"),
        ) as place,
    ):
        namespace.models.chmod(0o755)
        until(lambda: acts(Pods(admin_api, namespace.name)), seconds=30, what="the policy acts")
        yield Ground(place, admin_api, apply, remove, until, nodes)


@pytest.fixture
def checked(ground, monkeypatch, capsys, admin_kubeconfig) -> Callable[..., tuple[int, list[dict[str, Any]]]]:
    """Exit code and findings of `tuner check` on an experiment with these changes."""

    def run(changes: dict[str, Any], *, admin: bool = False) -> tuple[int, list[dict[str, Any]]]:
        monkeypatch.setenv(
            "KUBECONFIG", str(admin_kubeconfig if admin else ground.place.namespace.kubeconfig)
        )
        parser = argparse.ArgumentParser()
        check.add_arguments(parser)
        code = check.run(parser.parse_args([str(ground.place.experiment(**changes)), "--json"]))
        told = json.loads(capsys.readouterr().out)
        assert told["exit_code"] == code
        return code, told["findings"]

    return run


@pytest.fixture
def searched(ground, monkeypatch, capsys, tmp_path) -> Callable[[dict[str, Any]], tuple[int, str]]:
    """Exit code and error of a search on it, which must not get as far as a run."""

    def run(changes: dict[str, Any]) -> tuple[int, str]:
        runs = tmp_path / "runs"
        code = search([str(ground.place.experiment(**changes)), "--plain", "--runs", str(runs)])
        assert not runs.exists()
        return code, capsys.readouterr().err

    return run


def of_level(findings: list[dict[str, Any]], level: str) -> list[dict[str, Any]]:
    return [finding for finding in findings if finding["level"] == level]


def pods_of(ground: Ground) -> list[str]:
    return [each.metadata.name for each in ground.core.list_namespaced_pod(ground.name).items]


def test_of_a_sound_set_up_nothing_is_said_and_nothing_left(ground, checked):
    code, findings = checked({})
    assert code == 0
    assert of_level(findings, "error") == of_level(findings, "warning") == []
    (files,) = (finding for finding in findings if finding["subject"].startswith("files in"))
    size = sum(
        path.stat().st_size
        for path in (ground.place.namespace.models / ground.place.namespace.subpath).iterdir()
    )
    assert f"{size / 1e9:.3g} GB" in files["text"]
    ground.until(lambda: not pods_of(ground), seconds=10, what="the pod that reads is gone")


def test_the_version_of_ome_is_told_by_what_it_does(ground, checked):
    def told() -> list[str]:
        _, findings = checked({"storage": {"pvc_name": "none"}})  # so that nothing is read
        return [each["text"] for each in findings if each["subject"] == "OME"]

    assert "0.1.5 to 1.1 by what it does" in told()[0]
    with mounts_itself(ground):
        assert "1.2 by what it does" in told()[0]
        with looks_at_creation(ground):
            known, monitors = told()
            assert "1.3 or later by what it does" in known
            assert "PodMonitor" in monitors


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_broken_set_up_is_named_with_its_remedy_and_no_search_starts_on_it(
    row: Broken, ground, checked, searched
):
    with row.breaks(ground) as changes:
        code, findings = checked(changes, admin=row.admin)
        found = of_level(findings, row.level)
        assert len(found) == 1, found
        line = f"{found[0]['subject']}: {found[0]['text']}"
        assert row.said in line
        assert row.remedy in found[0]["remedy"]
        assert "\n" not in line + found[0]["remedy"]
        if row.level == "warning":
            assert code == 0
            return
        refused, said = searched(changes)
        assert refused == code == (2 if found[0]["persons"] else 1)
        assert said == f"error: {line}; would be right: {found[0]['remedy']}\n"
    ground.until(lambda: not pods_of(ground), seconds=30, what="no pod is left")
