"""A real Kubernetes for the session, namespaces with a model on a claim, and what runs the engine in pods."""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from tuner.deploy.embedded.model import ModelSettings, make_model

HERE = Path(__file__).parent
import definitions as test_definitions  # noqa: E402
import namespaces as test_namespaces  # noqa: E402
import objects  # noqa: E402
import search_site  # noqa: E402

MODEL = "meta/llama-3-2-1b-instruct"  # a folder with the default synthetic model
VARIANT = f"{MODEL}-f16"  # a folder with the same weights at twice the size


def by_path(name: str) -> ModuleType:
    """The module tests/cluster/<name>.py; tests are no package."""
    spec = importlib.util.spec_from_file_location(f"cluster_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for the cluster, which is built first where it never was."""
    for item in items:
        if item.path.is_relative_to(HERE) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(900))


def _cluster(verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(HERE / "k8s" / "cluster.py"), verb, *arguments],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="session")
def admin_kubeconfig() -> Iterator[Path]:
    """The administrator's kubeconfig of the cluster that the session uses.

    With TUNER_TEST_CLUSTER=1 it is $KUBECONFIG's; else the one that `make cluster` left up; else one that is
    started here and taken down in the end, also where this process is killed.
    """
    if os.environ.get("TUNER_TEST_CLUSTER") == "1" and os.environ.get("KUBECONFIG"):
        yield Path(os.environ["KUBECONFIG"])
        return
    found = _cluster("status")
    if found.returncode == 0:
        yield Path(found.stdout.strip().removeprefix("KUBECONFIG="))
        return
    started = _cluster("up", "--owner", str(os.getpid()))
    if started.returncode == 3:
        pytest.skip(started.stderr.strip().splitlines()[-1])
    assert started.returncode == 0, started.stderr.strip()
    try:
        yield Path(started.stdout.strip().removeprefix("KUBECONFIG="))
    finally:
        ended = _cluster("down")
        assert ended.returncode == 0, ended.stderr.strip()


@pytest.fixture(scope="session")
def admin_api(admin_kubeconfig: Path) -> client.ApiClient:
    """The official client, as administrator."""
    return config.new_client_from_config(str(admin_kubeconfig))


@pytest.fixture(scope="session")
def apply(admin_api: client.ApiClient) -> Callable[..., list[dict[str, Any]]]:
    """Apply manifests (YAML text, a file, a mapping or several) as administrator, strictly validated."""
    return lambda source: objects.apply(admin_api, source)


@pytest.fixture(scope="session")
def remove(admin_api: client.ApiClient) -> Callable[[dict[str, Any]], None]:
    """Delete the object of a manifest as administrator, if it is there; does not wait."""
    return lambda manifest: objects.delete(admin_api, manifest)


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    """Wait for a condition: `until(condition, seconds=..., what="...")` returns what was true."""
    return objects.until


@pytest.fixture(scope="session")
def nodes(admin_api: client.ApiClient) -> list[str]:
    """The names of the cluster's nodes."""
    return [node.metadata.name for node in client.CoreV1Api(admin_api).list_node().items]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder behind every claim: the default synthetic model in MODEL, its f16 variant in VARIANT."""
    pytest.importorskip("xllamacpp")
    folder = tmp_path_factory.mktemp("claim")
    for subpath, weights in ((MODEL, "q8_0"), (VARIANT, "f16")):
        (folder / subpath).mkdir(parents=True)
        shutil.copy(make_model(ModelSettings(weights=weights)), folder / subpath / "model.gguf")
    return folder


@pytest.fixture(scope="session")
def new_namespace(
    admin_api: client.ApiClient, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., contextlib.AbstractContextManager[test_namespaces.Namespace]]:
    """`with new_namespace("part", mount="policy") as namespace`: one of its own, removed with all in it.

    `mount` is the label autotuner.io/mount: policy, webhook, whatever else the guard acts on, or None. With
    `reader` the tuner's account has what cluster/rbac-optional.yaml gives it.
    """
    files = HERE.parents[1] / "cluster"

    def made(
        prefix: str = "test", *, mount: str | None = None, reader: bool = False
    ) -> contextlib.AbstractContextManager[test_namespaces.Namespace]:
        return test_namespaces.namespace_with_model(
            admin_api,
            f"{prefix}-{uuid.uuid4().hex[:6]}",
            models=models,
            subpath=MODEL,
            rights=[files / "rbac.yaml", *([files / "rbac-optional.yaml"] if reader else [])],
            folder=tmp_path_factory.mktemp("account"),
            mount=mount,
        )

    return made


@pytest.fixture
def namespace(new_namespace: Callable[..., Any]) -> Iterator[test_namespaces.Namespace]:
    """A namespace of the test's own, in which nothing mounts models by itself."""
    with new_namespace() as made:
        yield made


@pytest.fixture(scope="module")
def module_namespace(new_namespace: Callable[..., Any]) -> Iterator[test_namespaces.Namespace]:
    """As `namespace`, for all tests of a module."""
    with new_namespace() as made:
        yield made


@pytest.fixture(scope="session")
def engine_parts() -> Any:
    """What runs the embedded engine in a container: EnginePodParts of engine_pod_parts.py."""
    return by_path("engine_pod_parts").engine_pod_parts()


@pytest.fixture(scope="session")
def ome_definitions(admin_api: client.ApiClient) -> None:
    """OME's kinds: with OME_CRDS its real definitions, else a small definition of our own."""
    named = os.environ.get("OME_CRDS")
    if named:
        texts = [
            gzip.decompress(path.read_bytes()).decode() for path in sorted(Path(named).glob("*.yaml.gz"))
        ]
        assert texts, f"OME_CRDS={named}: no *.yaml.gz in it"
    else:
        texts = [(HERE / "k8s" / "ome_definitions.yaml").read_text()]
    definitions = [each for text in texts for each in yaml.load_all(text, yaml.CSafeLoader) if each]
    test_definitions.install_definitions(admin_api, definitions)


@pytest.fixture(scope="session")
def ome(
    admin_kubeconfig: Path, ome_definitions: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A controller of InferenceServices, as long as the session."""
    if not (HERE / "ome_controller.py").exists():
        pytest.skip("tests/cluster/ome_controller.py is not there")
    log = tmp_path_factory.mktemp("ome") / "controller.log"
    with by_path("ome_controller").running_ome(admin_kubeconfig, log) as running:
        yield running


@pytest.fixture(scope="session")
def mount_admission(admin_api: client.ApiClient, apply: Callable[..., Any], models: Path) -> None:
    """Policy and guard of cluster/admission, which act in namespaces by their label; they stay."""
    by_path("admission_parts").install_policies(admin_api, apply)


@pytest.fixture
def new_site(
    ome: Any,
    new_namespace: Callable[..., Any],
    admin_api: client.ApiClient,
    apply: Callable[..., Any],
    remove: Callable[..., Any],
    engine_parts: Any,
    tmp_path: Path,
) -> Callable[..., contextlib.AbstractContextManager[Any]]:
    """`with new_site("policy") as place`: where whole searches run; see search_site.py."""

    @contextlib.contextmanager
    def made(mount: str | None, **site: Any) -> Iterator[Any]:
        with (
            new_namespace("site", mount=mount, reader=True) as namespace,
            search_site.site(
                namespace,
                api=admin_api,
                apply=apply,
                remove=remove,
                parts=engine_parts,
                folder=tmp_path,
                **site,
            ) as place,
        ):
            yield place

    return made


@pytest.fixture
def place(mount_admission: None, new_site: Callable[..., Any]) -> Iterator[Any]:
    """A site in a namespace where the policy mounts."""
    with new_site("policy") as made:
        yield made
