"""Surfaces: what a file may hold, and the one line that says what is wrong with it."""

from __future__ import annotations

import hashlib

import pytest

from tuner.errors import FailureClass, UserError
from tuner.search.replay import read_surface

HEADER = "slots,batch,mode,output_tokens_per_second,ttft_p95_ms,deploy_seconds,failure"
BASELINE = "1,32,safe,100,30,2,"


@pytest.fixture
def read(experiment, tmp_path):
    def made(*lines, header=HEADER, text=None, baseline=BASELINE):
        path = tmp_path / "s.csv"
        path.write_text("\n".join([header, *([baseline] if baseline else []), *lines]) + "\n")
        return read_surface(path, experiment(**({"text": text} if text else {})))

    return made


def test_a_row_holds_what_was_recorded(read, tmp_path):
    surface = read("4,128,fast,,,3.5,accelerator_oom")
    row = surface.row({"slots": 4, "batch": 128, "mode": "fast"})
    assert (row.failure, row.deploy_seconds, row.truth) == (FailureClass.ACCELERATOR_OOM, 3.5, {})
    first = surface.row({"slots": 1, "batch": 32, "mode": "safe"})
    assert first.truth == {"output_tokens_per_second": 100, "ttft_p95_ms": 30} and first.noise_cv == 0
    assert surface.metrics == ("output_tokens_per_second", "ttft_p95_ms")
    assert surface.sha256 == hashlib.sha256((tmp_path / "s.csv").read_bytes()).hexdigest()


def test_the_space_is_cut_down_to_what_was_recorded(read):
    space = read("4,128,fast,200,40,2,").space
    assert space.size() == 2 and len(list(space.grid())) == 2
    assert space.parameters["slots"].grid() == (1, 4) and space.parameters["batch"].grid() == (32, 128)
    wrong = space.check({"slots": 4, "batch": 32, "mode": "fast"})
    assert wrong == ["the surface has no row for slots=4 batch=32 mode=fast"]
    assert space.valid({"slots": 4, "batch": 128, "mode": "fast"})


def test_a_range_becomes_the_list_of_its_recorded_values_in_order(read):
    text = "parameters:\n  a: {low: 0.1, high: 0.9}\n  b: {low: 1, high: 4096, log: true}\nbaseline: {}\n"
    header = "a,b,output_tokens_per_second,deploy_seconds,failure"
    surface = read("0.9,512,3,1,", "0.25,8,2,1,", header=header, baseline=",,1,1,", text=text)
    assert surface.space.parameters["a"].grid() == (0.25, 0.9)
    assert surface.space.parameters["b"].grid() == (8, 512)
    assert surface.space.size() == 2  # what the engine does by itself is the baseline and no point
    assert surface.row({}).truth == {"output_tokens_per_second": 1}


def test_rounds_are_rows_of_one_configuration(read):
    header = HEADER + ",round"
    surface = read("1,32,safe,120,50,2,,3", "1,32,safe,110,40,2,,2", header=header, baseline=BASELINE + ",1")
    row = surface.row({"slots": 1, "batch": 32, "mode": "safe"})
    assert [r["output_tokens_per_second"] for r in row.rounds] == [100, 110, 120]
    assert row.truth["ttft_p95_ms"] == 40


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["5,32,safe,1,1,1,"], "s.csv:3: slots: got '5'; would be right: one of 1, 2, 4, 8, or empty"),
        (
            ["2,32,safe,x,1,1,"],
            "s.csv:3: output_tokens_per_second: got x; would be right: a number from 0 on",
        ),
        (["2,32,safe,,,1,"], "s.csv:3: output_tokens_per_second: got nothing"),
        (["2,32,safe,1,nan,1,"], "s.csv:3: ttft_p95_ms: got nan"),
        (["2,32,safe,1,1,,"], "s.csv:3: deploy_seconds: got nothing; would be right: a number from 0 on"),
        (["2,32,safe,1,1,1,boom"], "s.csv:3: failure: got 'boom'; would be right: empty, or one of crash,"),
        (["2,32,safe,1,1,1,node_fault"], "s.csv:3: failure: got 'node_fault'"),
        (["2,32,safe,1,1"], "s.csv:3: got 5 cells; would be right: 7"),
        ([BASELINE], "s.csv:3: the configuration of line 2 again; would be right: one row each, or"),
    ],
)
def test_a_wrong_line_is_told_with_its_place(read, lines, said):
    with pytest.raises(UserError) as told:
        read(*lines)
    assert said in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (HEADER + ",nois_cv", "s.csv:1: got the unknown column 'nois_cv'; would be right: noise_cv"),
        (HEADER + ",mode", "s.csv:1: got the column 'mode' twice"),
        (HEADER.replace(",failure", ""), "s.csv:1: got no column 'failure'"),
        (HEADER.replace(",ttft_p95_ms", ""), "s.csv:1: got no column 'ttft_p95_ms'"),
        (HEADER.replace("slots,", ""), "s.csv:1: got no column 'slots'"),
    ],
)
def test_a_wrong_header_is_told(read, header, said):
    with pytest.raises(UserError, match=said.replace(".", r"\.")):
        read(header=header, baseline=None)


def test_the_baseline_has_to_be_there_and_to_serve(read):
    with pytest.raises(
        UserError, match=r"s\.csv: has no row for the baseline \(slots=1 batch=32 mode=safe\)"
    ):
        read("2,32,safe,1,1,1,", baseline=None)
    with pytest.raises(UserError, match=r"s\.csv:2: the baseline .* fails"):
        read(baseline="1,32,safe,,,1,crash")


def test_rounds_have_to_be_counted_from_one(read):
    with pytest.raises(UserError, match=r"s\.csv:2: got the rounds \[1, 3\]; would be right: 1, 2, 3"):
        read("1,32,safe,100,30,2,,3", header=HEADER + ",round", baseline=BASELINE + ",1")


def test_a_file_that_is_no_text_or_not_there_is_told(experiment, tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        read_surface(tmp_path / "none.csv", experiment())
    (tmp_path / "s.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="it is not UTF-8 text"):
        read_surface(tmp_path / "s.csv", experiment())


def test_a_parameter_called_like_a_column_is_told(read):
    text = "parameters:\n  round: {values: [1, 2]}\nbaseline: {round: 1}\n"
    with pytest.raises(UserError, match="the parameter 'round' is called as another column"):
        read(header="round,output_tokens_per_second,deploy_seconds,failure", baseline="1,1,1,", text=text)
