"""`tuner bench` against a server whose truth is known: what it prints, writes and exits with."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tuner.cli import main
from tuner.cli.bench_hdr import hdr_text
from tuner.trial.histogram import Histogram

pytestmark = pytest.mark.engine  # whole commands: too slow for the unit tier

QUICK = ["--scenario", "D(48,16)", "--warmup", "0", "--seconds", "0.5"]


@pytest.fixture
def server(scripted: ModuleType) -> Iterator[Any]:
    """First token after 30 ms, 15 more 10 ms apart: 180 ms a request."""
    with scripted.ScriptedServer(
        lambda n, r: scripted.Script(first_seconds=0.03, gap_seconds=0.01), metrics=True
    ) as serving:
        yield serving


def bench(*options: str) -> int:
    return main(["bench", *options])


def test_the_table_has_figures_with_units_and_says_how_far_to_trust_them(
    server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("--url", server.url, "--model", "m", *QUICK, "--concurrency", "4", "--rounds", "2") == 0
    out = capsys.readouterr().out
    rows = {" ".join(line.split()[:-6]): line.split()[-6:] for line in out.splitlines() if "(TTFT)" in line}
    assert float(rows["first token (TTFT)"][1]) == pytest.approx(30, abs=10)
    assert "output tokens/s" in out and "95 % interval" in out and "load: D(48,16), 4 in flight" in out
    assert out.count("of 4 asked for") == 2 and "round 2 can" in out.lower()
    assert "round trip 0." in out and "tokens by usage" in out


def test_json_holds_metrics_with_intervals_and_the_rounds_as_they_are_kept(
    server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--rate", "40", "--arrivals", "constant", "--chat", "--json"]
    assert bench("--url", f"{server.url}/v1/", "--model", "m", *QUICK, *given) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["url"] == server.url and not found["interrupted"] and found["round_trip_ms"] > 0
    assert found["points"]["load"]["metrics"]["ttft_p50_ms"]["value"] == pytest.approx(30, abs=10)
    assert found["workload"]["points"][0]["arrivals"] == "constant" and len(found["rounds"]) == 1
    assert all("messages" in asked for asked in server.seen.requests)


def test_good_requests_are_counted_where_limits_are_given(
    server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--concurrency", "2", "--json", "--goodput", "ttft_ms=0.1", "--goodput", "e2e:9000"]
    assert bench("--url", server.url, "--model", "m", *QUICK, *given) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["points"]["load"]["metrics"]["goodput"]["value"] == 0  # no first token comes in 0.1 ms
    assert found["goodput"] == {"ttft_ms": 0.1, "tpot_ms": None, "e2e_ms": 9000.0}


def test_the_table_names_the_limits_and_counts_the_good(
    server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--concurrency", "2", "--goodput", "ttft:9000", "tpot:9000"]
    assert bench("--url", server.url, "--model", "m", *QUICK, *given) == 0
    out = capsys.readouterr().out
    assert "goodput counts requests with TTFT of at most 9000 ms, TPOT of at most 9000 ms" in out
    rows = {" ".join(words[:-1]): words[-1] for words in map(str.split, out.splitlines()) if words}
    assert rows["goodput"] == rows["requests/s"] != "0" and rows["goodput share"] == "1"


def test_a_ramp_is_told_with_both_its_ends(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("--url", server.url, "--model", "m", *QUICK, "--rate", "20", "--ramp-to", "60") == 0
    out = capsys.readouterr().out
    assert "load: D(48,16), 20 to 60 requests/s, poisson arrivals" in out
    assert "of 40 asked for" in out and "a ramp from 20 to 60, not judged for steadiness" in out


def test_two_runs_send_no_prompt_twice(server: Any) -> None:
    for _ in range(2):
        bench("--url", server.url, "--model", "m", *QUICK, "--concurrency", "2", "--json")
    loaded = [
        p for p, r in zip(server.seen.prompts, server.seen.requests, strict=True) if r["max_tokens"] > 1
    ]
    assert len(set(loaded)) == len(loaded) > 8


def test_hdr_files_are_written_for_each_latency(
    server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--concurrency", "2", "--hdr", str(tmp_path / "latency.hgrm")]
    assert bench("--url", server.url, "--model", "m", *QUICK, *given) == 0
    capsys.readouterr()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"latency.load.{which}.hgrm" for which in ("e2e", "itl", "tpot", "ttft")]
    head, _, first = (tmp_path / names[3]).read_text().splitlines()[:3]
    assert head.split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    assert float(first.split()[0]) == pytest.approx(30, abs=10)


def test_a_percentile_distribution_agrees_with_the_values_it_is_made_of() -> None:
    lines = hdr_text(Histogram(float(v) for v in range(1, 1001))).splitlines()
    rows = [[float(word) for word in line.split()] for line in lines[2:] if not line.startswith("#")]
    for row in rows:
        assert row[0] == pytest.approx(row[2], rel=0.006)  # the value of rank k is k
    assert [row[1] for row in rows] == sorted(row[1] for row in rows) and rows[-1][1:] == [1.0, 1000]
    assert rows[0][:2] == [pytest.approx(1.0, rel=0.006), 0.0] and len(rows[-1]) == 3
    mean, _, deviation = lines[-3].removeprefix("#[Mean    = ").partition(", StdDeviation   = ")
    assert float(mean) == 500.5 and float(deviation[:-1]) == pytest.approx(288.7, rel=0.01)
    assert hdr_text(Histogram()).count("\n") == 5


def test_a_token_comes_from_the_environment_and_is_sent(
    server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BENCH_TOKEN", "very-secret")
    given = ["--concurrency", "1", "--token-env", "BENCH_TOKEN", "--json"]
    assert bench("--url", server.url, "--model", "m", *QUICK, *given) == 0
    assert set(server.seen.authorizations) == {"Bearer very-secret"}
    assert "very-secret" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--concurrency", "1"], "--scenario: got none"),
        (["--scenario", "D(8,8)"], "--concurrency and --rate: got neither"),
        (["--scenario", "D(8,8)", "--concurrency", "1", "--rate", "1"], "--concurrency and --rate: got both"),
        (["--scenario", "D(8", "--rate", "1"], "--scenario: got 'D(8'; would be right: D(in,out)"),
        (["--scenario", "D(8,8)", "--rate", "0"], "--rate: got 0.0; would be right: greater than 0"),
        (
            ["--scenario", "D(8,8)", "--rate", "1", "--experiment", "quickstart"],
            "--scenario and --experiment",
        ),
        (["--scenario", "D(8,8)", "--rate", "1", "--token-env", "NOT_SET_HERE"], "NOT_SET_HERE is not set"),
        (
            ["--scenario", "D(8,8)", "--rate", "1", "--ca", "/nowhere.pem"],
            "--ca: /nowhere.pem cannot be read",
        ),
        (
            ["--scenario", "D(8,8)", "--concurrency", "4", "--ramp-to", "2"],
            "--ramp-to: got 2; would be right",
        ),
        (["--scenario", "D(8,8)", "--rate", "1", "--goodput", "ttt:3"], "--goodput: got ttt:3"),
        (
            ["--scenario", "D(8,8)", "--rate", "1", "--goodput", "ttft:3", "ttft_ms=4"],
            "--goodput: got ttft:3 ttft_ms=4; would be right: such as ttft:500 tpot:40 e2e:9000, each at",
        ),
        (["--scenario", "D(8,8)", "--rate", "1", "--hdr", "/nowhere/x"], "--hdr: /nowhere is no directory"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_exit_code_2(
    given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("--url", "http://127.0.0.1:1", "--model", "m", *given) == 2
    told = capsys.readouterr()
    assert said in told.err and told.err.count("\n") == 1 and not told.out


def test_a_server_that_is_not_there_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("--url", "http://127.0.0.1:1", "--model", "m", *QUICK, "--concurrency", "1") == 1
    assert "refused" in capsys.readouterr().err
    assert bench("--url", "http://127.0.0.1:1", *QUICK, "--concurrency", "1") == 1
    assert "/v1/models names no model" in capsys.readouterr().err


def test_requests_that_all_fail_are_printed_and_exit_code_1(
    scripted: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    def script(number: int, asked: dict[str, Any]) -> Any:
        return (
            scripted.Script() if asked["max_tokens"] == 1 else scripted.Script(status=503, error_body="full")
        )

    with scripted.ScriptedServer(script) as serving:
        given = ["--url", serving.url, "--model", "m", "--scenario", "D(48,16)", "--rate", "30"]
        assert bench(*given, "--warmup", "0", "--seconds", "0.5") == 1
    assert "failed, http_503" in capsys.readouterr().out


def test_an_experiments_workload_is_taken_and_options_shorten_it(
    server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = """
        model: {path: model.gguf}
        parameters: {x: {values: [1, 2], flag: --x}}
        workload:
          points:
            - {name: few, scenario: "D(48,8)", concurrency: 1}
            - {name: more, scenario: "D(48,16)", concurrency: 3}
    """
    file = tmp_path / "own.yaml"
    file.write_text(text)
    given = ["--experiment", str(file), "--seconds", "0.3", "--warmup", "0", "--rounds", "1"]
    code = bench("--url", server.url, "--model", "m", *given)
    told = capsys.readouterr()
    assert code == 0, told.err
    assert "few: D(48,8), 1 in flight" in told.out and "more: D(48,16), 3 in flight" in told.out


def test_ctrl_c_prints_what_was_measured_so_far(server: Any) -> None:
    given = ["--url", server.url, "--model", "m", "--scenario", "D(48,16)", "--concurrency", "4"]
    long = ["--warmup", "0", "--seconds", "0.5", "--rounds", "500"]
    script = "import sys; from tuner.cli import main; sys.exit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", script, "bench", *given, *long], stdout=subprocess.PIPE, text=True
    ) as running:
        while len(server.seen.requests) < 60 and running.poll() is None:  # two rounds' worth
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        out, _ = running.communicate(timeout=10)
    assert running.returncode == 130
    assert "can be trusted" in out.lower().replace("cannot", "can") and "output tokens/s" in out
