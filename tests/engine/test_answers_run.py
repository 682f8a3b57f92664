"""A whole run in which a smaller cache answers worse: it is found out, and does not win."""

from __future__ import annotations

import json

import pytest
import whole_runs

from tuner.results.run_directory import RunDirectory
from tuner.results.runs import find_run

SECONDS = 300.0  # a fifth of that where nothing else runs
pytestmark = [pytest.mark.engine, pytest.mark.timeout(SECONDS + 60)]

MODEL = {"hidden_size": 384, "layers": 4, "heads": 6, "kv_heads": 6, "feed_forward": 1024}
SCORE = """\
import json, os, urllib.request
body = json.dumps({"model": os.environ["ENDPOINT_MODEL"], "prompt": "bako", "max_tokens": 1}).encode()
asked = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/completions", body)
assert urllib.request.urlopen(asked, timeout=30).status == 200
print("asked", os.environ["ENDPOINT_URL"])
print(0.75)
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    made = whole_runs.Lab(tmp_path_factory.mktemp("lab"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def ended(lab):
    (lab.folder / "score.py").write_text(SCORE)
    return lab.run(
        lab.write(
            model={"synthetic": MODEL},
            parameters={
                "slots": {"values": [4, 8], "flag": "--parallel"},
                "cache_k": {"values": ["f16", "q4_0"], "flag": "--cache-type-k"},
                "cache_v": {"values": ["f16"], "flag": "--cache-type-v"},
                "flash": {"values": ["on"], "flag": "--flash-attn"},
            },
            baseline={"slots": 4, "cache_k": "f16", "flash": "on"},
            accuracy={"check": "auto", "command": f"{lab.python} {lab.folder / 'score.py'}"},
            slo={"ttft_p50_ms": 5000},
            search={"trials": 4},
            validation={"simplify": False},
        ),
        seconds=SECONDS,
    )


@pytest.fixture(scope="module")
def run(lab, ended) -> RunDirectory:
    assert ended.code == 0, ended.err + ended.out
    return find_run(lab.runs)


def test_the_plan_says_what_is_compared(run, ended):
    said = " ".join(ended.out.split())
    assert "each combination of cache_k (KV-cache type) compared once with the baseline" in said


def test_four_bits_lose_more_than_is_allowed_and_are_deployed_once(run):
    found = [line for line in run.trials() if line.params["cache_k"] == "q4_0"]
    assert len(found) == 1
    (line,) = found
    assert line.accuracy["trial"] == line.trial and not line.feasible
    assert line.metrics["accuracy_loss"] > 0.05
    assert line.violations["accuracy_loss"] > 0
    assert line.times["answers"] > 0


def test_what_answers_as_the_baseline_loses_nothing(run):
    others = [line for line in run.trials() if line.params["cache_k"] == "f16"]
    assert others and all(line.metrics["accuracy_loss"] == 0 for line in others)
    assert all(line.metrics["score_loss"] == 0 for line in others)
    assert run.best()["verdict"]["winner"] in {line.trial for line in others}


def test_the_score_of_the_command_is_kept(run):
    assert run.answers()["answers"]["score"] == 0.75
    (line,) = [line for line in run.trials() if line.params["cache_k"] == "q4_0"]
    assert (line.accuracy["score"], line.accuracy["score_loss"]) == (0.75, 0)


def test_the_closing_block_and_the_report_say_what_was_lost(run, ended):
    said = " ".join(ended.out.replace("│", " ").split())
    assert "cache_k=q4_0 (trial" in said and "it cannot win" in said
    assert "<h2>Answers</h2>" in run.report_path.read_text()
    assert "accuracy_loss" in json.dumps(run.state().to_json())
