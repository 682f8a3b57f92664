"""A whole run from the command line, on the real engine and a Ray of its own."""

from __future__ import annotations

import json
import socket
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
import whole_runs
import yaml

from tuner.results.run_directory import RunDirectory
from tuner.results.runs import find_run
from tuner.search.assembly import BEYOND
from tuner.search.startup import FIRST_REQUEST, RAYS, TRIAL_ACTOR

pytestmark = pytest.mark.engine

# What a machine at rest keeps, times three: tests run beside others.
OUR_START_SECONDS = 3 * 5.0
WHOLE_START_SECONDS = 3 * 15.0
BEYOND_SECONDS = 3 * 2.0


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    made = whole_runs.Lab(tmp_path_factory.mktemp("lab"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def ended(lab):
    return lab.run(lab.write())


@pytest.fixture(scope="module")
def run(lab, ended) -> RunDirectory:
    assert ended.code == 0, ended.err + ended.out
    return find_run(lab.runs)


def test_it_ends_with_a_verdict_and_says_nothing_on_stderr(run, ended):
    best = run.best()
    assert best["verdict"]["outcome"] in {"better", "no_better", "only_winner_feasible"}
    assert best["verdict"]["headline"] in " ".join(ended.out.replace("│", " ").split())
    assert ended.error_lines == []


def test_it_tells_its_noise_floor_once_the_baseline_has_ended(run, ended):
    told = [line for line in ended.out.splitlines() if line.startswith("The baseline against itself: ")]
    assert len(told) == 1 and "rounds of 1 s see at best a gain of" in told[0]
    first, noise = ended.out.index("trial 0 "), ended.out.index(told[0])
    assert first < noise < ended.out.index("trial 2 ")
    assert run.best()["noise_floor"]["gain"] > 0
    assert "Why to believe it" in run.report_path.read_text()


def test_every_configuration_was_tried_once(lab, run):
    ended = whole_runs.ended_search(run.path)
    assert [(number, attempt) for number, attempt, _ in ended] == [(n, 1) for n in range(6)]


def test_a_crash_is_data_with_its_class_and_the_engines_own_words(run):
    failed = [line for line in run.trials() if line.state == "failed"]
    assert {line.params["cache_v"] for line in failed} == {"q8_0"}
    assert len(failed) == 3
    for line in failed:
        assert line.failure.kind == "crash"
        assert "quantized V cache requires flash_attn" in line.failure.log_tail
        assert "quantized V cache requires flash_attn" in run.log(run.deployment_name(line))


def test_a_trial_that_misses_its_limit_by_far_is_stopped_after_a_round(run):
    (stopped,) = (line for line in run.trials() if line.state == "stopped")
    assert stopped.params["slots"] == 1
    assert "hopeless: ttft_p50_ms" in stopped.reason
    assert [r.round.number for r in run.rounds() if r.key == stopped.key] == [1]


def test_all_that_a_run_leaves_is_there(run):
    for name in ("best.json", "best.yaml", "report.html", "study.db", "experiment.yaml", "rounds.jsonl"):
        assert (run.path / name).stat().st_size > 0, name


def test_no_process_of_it_is_left(lab, run):
    assert lab.engines() == []
    whole_runs.until(lambda: not lab.processes(), seconds=10, what="Ray's processes are gone")


def test_the_command_of_best_yaml_serves(lab, run):
    best = yaml.safe_load(run.best_yaml_path.read_text())
    command = best["command"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command[command.index("--port") + 1] = port
    server = lab.launch(command)
    body = json.dumps({"prompt": "bako", "max_tokens": 3, "ignore_eos": True}).encode()
    request = Request(f"http://127.0.0.1:{port}/v1/completions", body, {"Content-Type": "application/json"})

    def served():
        assert server.process.poll() is None, server.err
        try:
            with urlopen(request, timeout=5) as answer:
                return json.load(answer)
        except (URLError, ConnectionError):
            return None

    try:
        answer = whole_runs.until(served, seconds=20, what="a completion is served")
    finally:
        server.process.kill()
        server.process.wait()
    assert answer["usage"]["completion_tokens"] == 3
    assert "--parallel 8" in best["shell"]


def test_the_start_costs_no_more_than_three_times_what_it_may(run):
    parts = run.state().startup_seconds
    assert {"ray", TRIAL_ACTOR, FIRST_REQUEST} <= set(parts)
    assert sum(parts.values()) < WHOLE_START_SECONDS, parts
    assert sum(seconds for part, seconds in parts.items() if part not in RAYS) < OUR_START_SECONDS, parts


def test_a_trial_costs_little_beyond_deploying_and_its_rounds(run):
    spent = run.state().spent_seconds
    assert (spent[BEYOND] + spent["queue"]) / len(run.trials()) < BEYOND_SECONDS, spent


def test_a_dry_run_prints_the_plan_and_deploys_nothing(tmp_path):
    lab = whole_runs.Lab(tmp_path)
    try:
        ended = lab.run(lab.write(), "--dry-run", seconds=30)
        assert ended.code == 0
        assert "6 configurations" in ended.out
        assert "validation" in ended.out
        assert ended.error_lines == []
        assert not lab.runs.exists()
        assert lab.processes() == []
    finally:
        lab.close()
