"""A Ray to run on: one of this machine's own, or an existing cluster."""

from __future__ import annotations

import logging
import math
import os
import socket
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import tuner
from tuner.deploy.pinning import available_cores
from tuner.errors import UserError, WorldError
from tuner.search.ray.lifeline import expect_its_end
from tuner.trial.ports import Slot

NAMESPACE = "tuner"
SLOT_CPUS = 1.1  # a benchmark actor and a trial
_REACH_SECONDS = 4.0
# Of a trial, and of ray.tune in its process.
_NEEDED = (
    "jinja2",
    "numpy",
    "psutil",
    "pydantic",
    "uvloop",
    "yaml",
    "fsspec",
    "pandas",
    "pyarrow",
    "requests",
)


@dataclass(frozen=True, slots=True)
class Node:
    """A live node of the cluster."""

    node_id: str
    host: str
    cpus: float
    resources: Mapping[str, float] = field(default_factory=dict, compare=False)


def start(*, address: str | None, serving_gpu: int | None, slots: int) -> None:
    """Connect to `address` ("host:port", "ray://host:port" or "auto"), or start a Ray of our own.

    Ray's CPUs are tickets, not cores: a Ray of our own has enough of them for `slots` trials side by side.

    Raises:
        WorldError: the cluster refuses, or Ray does not start.
    """
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "3600")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # an engine inherits it: 15 would lose to any neighbour
    common = {
        "namespace": NAMESPACE,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "configure_logging": True,
    }
    try:
        if address is not None:
            package = str(Path(tuner.__file__).parent)  # other nodes get it with the job
            ray.init(address=address, runtime_env={"py_modules": [package]}, **common)
        else:
            declared = {"serving_gpu": float(serving_gpu)} if serving_gpu else None
            ray.init(
                address="local",
                include_dashboard=False,
                resources=declared,
                num_cpus=max(len(available_cores()), math.ceil(slots * SLOT_CPUS)),
                **common,
            )
    except Exception as error:  # Ray raises plain ones too, such as for a raylet that died meanwhile
        where = address or f"this machine (temporary files in {tempfile.gettempdir()})"
        hint = ""
        if address is not None:
            hint = "; where it asks for a token, this machine needs it: RAY_AUTH_TOKEN, .ray/auth_token"
        raise WorldError(f"Ray on {where}: {_one_line(error)}{hint}") from error


def nodes() -> list[Node]:
    """The live nodes, the driver's own first."""
    found = [
        Node(n["NodeID"], n["NodeManagerHostname"], n["Resources"].get("CPU", 0.0), n["Resources"])
        for n in ray.nodes()
        if n["Alive"]
    ]
    own = ray.get_runtime_context().get_node_id()
    return sorted(found, key=lambda n: (n.node_id != own, n.node_id))


def alive() -> set[str]:
    """The ids of the live nodes."""
    return {n["NodeID"] for n in ray.nodes() if n["Alive"]}


def check_nodes(found: Sequence[Node]) -> None:
    """Have every node import what a trial needs.

    Raises:
        WorldError: a node lacks something; names the node and the packages.
    """
    asked = {
        node: ray.remote(num_cpus=0)(_missing)
        .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.node_id, soft=False))
        .remote(_NEEDED)
        for node in found
    }
    for node, answer in asked.items():
        try:
            lacking = ray.get(answer, timeout=60)
        except ray.exceptions.RayError as error:
            raise WorldError(f"Ray node {node.host}: no worker starts there: {_one_line(error)}") from error
        if lacking:
            names = ", ".join(lacking)
            raise WorldError(
                f"Ray node {node.host} lacks the Python package(s) {names}: install there what the driver has"
            )


def check_room(found: Sequence[Node], laid_out: Sequence[Slot]) -> None:
    """See that all slots fit at once: Ray would let trials wait for ever without a word.

    Raises:
        UserError: a node, or the whole cluster, has too few CPUs.
    """
    for node in found:
        bound = sum(slot.node_id == node.node_id for slot in laid_out)
        if bound * SLOT_CPUS > node.cpus + 1e-9:
            raise _no_room(bound, f"Ray node {node.host}", node.cpus)
    everywhere = sum(node.cpus for node in found)
    if len(laid_out) * SLOT_CPUS > everywhere + 1e-9:
        raise _no_room(len(laid_out), "the Ray cluster", everywhere)


def _no_room(count: int, where: str, cpus: float) -> UserError:
    return UserError(
        f"search.parallel: {count} trials at once on {where} take {count * SLOT_CPUS:g} CPU (1 a benchmark "
        f"actor, 0.1 a trial), it has {cpus:g}; lower search.parallel, or give nodes a larger --num-cpus"
    )


def places(found: Sequence[Node], resource: str, most: int) -> list[str]:
    """The nodes by id, each as often as trials of the widest kind fit on it at once; in turn.

    Without accelerators each node once.

    Raises:
        UserError: no node can ever run a trial that wide.
    """
    if not most:
        return [node.node_id for node in found]
    fits = {node.node_id: int(node.resources.get(resource, 0.0) // most) for node in found}
    if not any(fits.values()):
        have = max(node.resources.get(resource, 0.0) for node in found)
        raise UserError(
            f"deploy.accelerators: a trial may need {most} {resource}, no Ray node has more than {have:g}; "
            f"start one with --resources='{{\"{resource}\": N}}', or set deploy.serving_gpu (local Ray)"
        )
    return [node for turn in range(max(fits.values())) for node, count in fits.items() if turn < count]


def gpus_here() -> int:
    """The GPUs of this machine, as Ray will find them; 0 where it has none."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([device for device in visible.split(",") if device.strip()])
    return len([d for d in Path("/dev").glob("nvidia*") if d.name.removeprefix("nvidia").isdigit()])


def has_room(resource: str, accelerators: int) -> bool:
    """Whether a trial of so many would find its place in the cluster as it is."""
    have = ray.available_resources()
    return bool(have.get("CPU", 0.0) >= SLOT_CPUS - 1 and have.get(resource, 0.0) >= accelerators)


def free(resource: str) -> str:
    """What is free of CPUs and of `resource`, for a person."""
    have = ray.available_resources()
    return ", ".join(f"{have.get(name, 0.0):g} {name}" for name in ("CPU", resource))


def stop() -> None:
    """Leave the cluster; a Ray of our own ends."""
    expect_its_end()
    ray.shutdown()


def settle_on(cpus: Sequence[int]) -> None:
    """Keep this process and its local Ray off the engine's cores; what Ray starts later inherits it."""
    me = psutil.Process()
    for process in [me, *me.children(recursive=True)]:
        try:
            process.cpu_affinity(list(cpus))
        except psutil.Error:
            continue  # it ended meanwhile


def reach(address: str) -> None:
    """See that somebody listens there: Ray itself takes more than a minute to say that nobody does.

    Raises:
        WorldError: nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return  # "auto" and names that Ray resolves itself
    try:
        socket.create_connection((host, int(port)), timeout=_REACH_SECONDS).close()
    except OSError as error:
        raise WorldError(
            f"Ray address {address}: {error.strerror or error}; start one there with `ray start --head`, "
            "or leave --address and RAY_ADDRESS out for a Ray on this machine"
        ) from error


def _missing(packages: Sequence[str]) -> list[str]:
    import importlib.util  # noqa: PLC0415  (runs on the node)

    return [name for name in packages if importlib.util.find_spec(name) is None]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
