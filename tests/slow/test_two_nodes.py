"""A Ray cluster of two nodes, made on this machine, whose nodes have the dependencies and not the package."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]


class Cluster:
    """Two nodes of 2 CPUs each in a lab; they end with the lab."""

    def __init__(self, lab, whole_runs, ray: list[str], *, head_resources: str = "{}") -> None:
        self._lab = lab
        self._until = whole_runs.until
        self.address = f"127.0.0.1:{_free_port()}"
        port = self.address.rpartition(":")[2]
        common = ["--num-cpus=2", "--disable-usage-stats", "--include-dashboard=false"]
        self._start([*ray, "start", "--head", f"--port={port}", "--node-ip-address=127.0.0.1",
                     f"--resources={head_resources}", *common])  # fmt: skip
        self._start([*ray, "start", f"--address={self.address}", "--num-cpus=2", "--disable-usage-stats"])
        # The head first: the driver is on it.
        self.raylets = sorted(lab.named("raylet"), key=lambda p: "--head" not in p.cmdline())
        assert len(self.raylets) == 2

    def _start(self, command: list[str]) -> None:
        ended = self._lab.launch(command).wait(60)
        assert ended.code == 0, ended.out + ended.err

    def node_of(self, process: psutil.Process) -> int | None:
        """Which raylet it descends from, 0 or 1."""
        with contextlib.suppress(psutil.Error):
            above = {parent.pid for parent in process.parents()}
            for number, raylet in enumerate(self.raylets):
                if raylet.pid in above:
                    return number
        return None


def _free_port() -> int:
    for port in range(20_500, 32_000, 7):  # Ray refuses a head port from 10002 to 19999
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no free port")


@pytest.fixture
def ray_elsewhere(installed_elsewhere) -> list[str]:
    """`ray` of an environment without the package."""
    return [str(installed_elsewhere), "-m", "ray.scripts.scripts"]


def test_two_trials_at_a_time_run_on_two_nodes_that_lack_the_package(
    lab, whole_runs, ray_elsewhere, installed_elsewhere
):
    hidden = lab.launch([str(installed_elsewhere), "-c", "import tuner.search"]).wait(30)
    assert "No module named 'tuner" in hidden.err
    cluster = Cluster(lab, whole_runs, ray_elsewhere)
    started = lab.start(
        lab.write(
            slo=None,
            deploy={"pinning": "none"},
            parameters={
                "slots": {"values": [2, 4, 8, 16], "flag": "--parallel"},
                "cache_v": {"values": ["f16"], "flag": "--cache-type-v"},
            },
            workload={"rounds": 3},
            search={"trials": 4, "parallel": 2},
        ),
        "--address",
        cluster.address,
    )
    seen = _watch(lab, whole_runs.BENCHMARK_ACTOR, cluster, started)
    ended = started.wait(10)
    assert ended.code == 0, ended.err + ended.out
    assert (lab.the_run() / "best.json").exists()
    assert sorted(t for t, _, s in whole_runs.ended_search(lab.the_run()) if s == "complete") == [0, 1, 2, 3]
    assert seen.most_at_once == 2
    assert {node for nodes in seen.engine_nodes.values() for node in nodes} == {0, 1}
    for name, nodes in seen.engine_nodes.items():
        assert len(nodes) == 1, name
        # Whoever holds connections to the engine is a benchmark actor below the same raylet.
        assert seen.load_nodes.get(name, nodes) == nodes, name
    assert len(seen.load_nodes) >= len(seen.engine_nodes) // 2
    assert not any(str(ROOT) in path for path in seen.package_paths), seen.package_paths
    assert seen.package_paths
    assert lab.engines() == []


class Seen:
    """What was seen of a run's processes while it ran."""

    def __init__(self) -> None:
        self.most_at_once = 0
        self.engine_nodes: dict[str, set[int]] = {}
        self.load_nodes: dict[str, set[int]] = {}
        self.package_paths: set[str] = set()


def _watch(lab, benchmark_actor: str, cluster: Cluster, started) -> Seen:
    """Look at the processes until the command ends."""
    seen = Seen()
    while started.process.poll() is None:
        engines = {}
        for process in lab.engines():
            with contextlib.suppress(psutil.Error):
                name = process.environ()["RAY_SERVING_TUNER_DEPLOYMENT"]
                command = process.cmdline()
                supervisors = [part for part in command if part.endswith("supervisor.py")]
                seen.package_paths.update(supervisors)
                if "tuner.deploy.embedded" not in command or supervisors:
                    continue
                engines[name] = int(command[command.index("--port") + 1])
                node = cluster.node_of(process)
                if node is not None:
                    seen.engine_nodes.setdefault(name, set()).add(node)
        seen.most_at_once = max(seen.most_at_once, len(engines))
        for bench in lab.named(benchmark_actor):
            with contextlib.suppress(psutil.Error):
                ports = {c.raddr.port for c in bench.net_connections(kind="tcp") if c.raddr}
                node = cluster.node_of(bench)
                for name, port in engines.items():
                    if port in ports and node is not None:
                        seen.load_nodes.setdefault(name, set()).add(node)
        try:
            started.process.wait(0.1)
        except Exception:
            assert lab.processes()
    return seen


def test_trials_of_one_two_and_four_accelerators_never_hold_more_than_there_are(lab, whole_runs):
    experiment = lab.write(
        deploy={
            "pinning": "none",
            "accelerators": "tp",
            "accelerator_resource": "serving_gpu",
            "serving_gpu": 4,
        },
        parameters={
            "tp": {"values": [1, 2, 4], "env": "TP"},
            "slots": {"values": [4, 8], "flag": "--parallel"},
            "cache_v": {"values": ["f16"], "flag": "--cache-type-v"},
        },
        baseline={"tp": 1, "slots": 4},
        slo=None,
        search={"parallel": 2, "trials": 6},
        validation={"enabled": False},
    )
    ended = lab.run(experiment, seconds=200)
    assert ended.code == 0, ended.err + ended.out
    trials = whole_runs.lines(lab.the_run() / "trials.jsonl")
    assert sorted(line["params"]["tp"] for line in trials) == [1, 1, 2, 2, 4, 4]
    spans = [(_placed(line), line["ended"], line["params"]["tp"]) for line in trials]
    held = [sum(tp for begun, ended, tp in spans if begun <= at < ended) for at, _, _ in spans]
    assert max(held) <= 4, held
    together = [sum(begun <= at < ended for begun, ended, _ in spans) for at, _, _ in spans]
    assert max(together) == 2, together


def _placed(line: dict) -> float:
    """When a deployment had its place: it was handed out before that, and waited."""
    return line["started"] + line["times"]["queue"]


def test_a_node_that_dies_costs_its_trial_an_attempt_and_the_run_goes_on(lab, whole_runs):
    cluster = Cluster(lab, whole_runs, [lab.python, "-m", "ray.scripts.scripts"])
    started = lab.start(
        lab.write(
            slo=None,
            deploy={"pinning": "none"},
            parameters={
                "slots": {"values": [2, 4, 8, 16], "flag": "--parallel"},
                "cache_v": {"values": ["f16"], "flag": "--cache-type-v"},
            },
            workload={"rounds": 4},
            search={"trials": 4, "parallel": 2},
            validation={"enabled": False},
        ),
        "--address",
        cluster.address,
    )

    def engines_of_the_second() -> list:
        return [process for process in lab.engines() if cluster.node_of(process) == 1]

    there = whole_runs.until(engines_of_the_second, seconds=120, what="an engine on the second node")
    cluster.raylets[1].kill()
    whole_runs.until(lambda: not any(p.is_running() for p in there), seconds=3, what="no engine there")
    ended = started.wait(200)
    assert ended.code == 0, ended.err + ended.out
    assert ended.error_lines == []
    assert sorted(t for t, _, s in whole_runs.ended_search(lab.the_run()) if s == "complete") == [0, 1, 2, 3]
    assert any(state == "interrupted" for _, _, state in whole_runs.ended_search(lab.the_run()))
