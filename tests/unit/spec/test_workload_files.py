"""Files of the workload: read with the experiment, known by their hash, and wrong ones told by their line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tuner.errors import SpecError
from tuner.spec import refuse_unbuilt
from tuner.spec.dataset_rows import parse_dataset
from tuner.spec.trace_rows import parse_trace
from tuner.spec.workload import LoadPoint, Workload

HEAD = "model: {synthetic: {}}\nparameters: {slots: {values: [1, 2]}}\n"


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def written(text: str, name: str = "rows.jsonl") -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return written


def refusal(read: Any, workload: dict[str, Any]) -> str:
    with pytest.raises(SpecError) as caught:
        read(HEAD + f"workload: {json.dumps(workload)}\n")
    said = str(caught.value)
    assert "\n" not in said
    return said.partition("experiment.yaml:3: ")[2]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"prompt": "a", "output_tokens": 3}\n{"prompt": oops}\n', "in line 2 of the file no JSON"),
        ('{"text": "a"}\n', "in line 1 of the file the keys text"),
        ('{"prompt": "a", "output_tokens": 0}\n', "in line 1 of the file output_tokens 0"),
        ('\n\n{"messages": [{"role": "user"}]}\n', "in line 3 of the file the content nothing"),
        ('{"messages": [{"role": "system", "content": "x"}]}', "in line 1 of the file messages without one"),
        ("\n \n", "a file without a usable row"),
        ('[{"conversations": [{"from": "gpt", "value": "x"}]}]', "a file without a usable row"),
        ("[{", "in line 1 of the file no JSON"),
    ],
)
def test_a_dataset_that_cannot_be_used_is_told_with_its_line(
    read: Any, file: Any, text: str, says: str
) -> None:
    said = refusal(read, {"dataset": {"path": file(text)}, "concurrency": 1})
    assert said.startswith(f"workload.dataset.path: got {says}"), said


def test_a_row_that_asks_for_no_tokens_is_told(read: Any, file: Any) -> None:
    said = refusal(read, {"dataset": {"path": file('{"prompt": "a"}\n')}, "concurrency": 1})
    assert said.startswith("workload.dataset.output_tokens: got in line 1 of the file a row that asks")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"timestamp": 0, "input_length": 4, "output_length": 4}\n{"timestamp": 5}\n', "in line 2 of"),
        ("TIMESTAMP,ContextTokens\n", "in line 1 of the file a head without GeneratedTokens"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\nnoon,1,1\n", "in line 2 of the file the time 'noon'"),
        ('{"timestamp": 0, "input_length": 4, "output_length": 4}\n', "a trace of 1 usable lines"),
        ('{"timestamp": -1, "input_length": 4, "output_length": 4}\n', "in line 1 of the file timestamp -1"),
    ],
)
def test_a_trace_that_cannot_be_replayed_is_told_with_its_line(
    read: Any, file: Any, text: str, says: str
) -> None:
    said = refusal(read, {"trace": {"path": file(text)}})
    assert said.startswith(f"workload.trace.path: got {says}"), said


def test_a_missing_file_is_told_with_the_folder_that_it_was_looked_for_in(read: Any) -> None:
    said = refusal(read, {"dataset": {"path": "nowhere.jsonl"}, "concurrency": 1})
    assert said.startswith("workload.dataset.path: got 'nowhere.jsonl' (No such file or directory)")
    assert str(Path.cwd()) in said


ROW = '{"prompt": "a", "output_tokens": 3}\n'
TALK = (
    '{"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "y"}], "max_tokens": 2}\n'
)
TRACE = "".join(f'{{"timestamp": {t}, "input_length": 4, "output_length": 4}}\n' for t in (0, 500))


@pytest.mark.parametrize(
    ("workload", "says"),
    [
        ({"concurrency": 1}, "workload: got none of them; would be right: one of scenario, dataset, trace"),
        ({"scenario": "D(1,2)", "dataset": {"path": "ROW"}, "concurrency": 1}, "workload: got both scenario"),
        ({"trace": {"path": "TRACE"}, "request_rate": 3.0}, "workload.request_rate: got 3; would be right"),
        ({"trace": {"path": "TRACE"}, "concurrency": 3}, "workload.concurrency: got 3; would be right"),
        ({"trace": {"path": "TRACE"}, "ramp_to": 3.0}, "workload.ramp_to: got 3; would be right: without it"),
        (
            {"scenario": "D(1,2)", "request_rate": 2.0, "ramp_to": 2},
            "workload.ramp_to: got 2; would be right",
        ),
        (
            {"scenario": "D(1,2)", "concurrency": 4, "ramp_to": 2.0},
            "workload.ramp_to: got 2; would be right: a whole number above 4, at most 100,000; or",
        ),
        ({"scenario": "D(1,2)", "concurrency": 4, "ramp_to": 5.5}, "workload.ramp_to: got 5.5; would be"),
        ({"scenario": "D(1,2)", "request_rate": 1.0, "arrivals": "trace"}, "workload.arrivals: got 'trace'"),
        ({"dataset": {"path": "ROW"}, "concurrency": 1, "shared_prefix": 9}, "workload.shared_prefix: got 9"),
        (
            {"dataset": {"path": "TALK"}, "concurrency": 1},
            "workload.chat: got false, and a dataset of messages",
        ),
        (
            {"scenario": "D(1,2)", "concurrency": 1, "conversations": {"turns": 2}},
            "workload.chat: got false, and conversations; would be right: true",
        ),
        (
            {"scenario": "D(1,2)", "request_rate": 1.0, "conversations": {"turns": 2}},
            "workload.chat: got false, and conversations; would be right: true",
        ),
        (
            {"scenario": "D(1,2)", "concurrency": 1, "conversations": {}, "chat": True},
            "workload.conversations.turns: got nothing",
        ),
        (
            {"mix": [{"scenario": "D(1,2)"}, {"trace": {"path": "TRACE"}}], "request_rate": 1.0},
            "workload.mix[1].trace: got a trace within a mix; would be right: a load point of its own",
        ),
        ({"mix": [{"weight": 2.0}], "concurrency": 1}, "workload.mix[0]: got neither scenario nor dataset"),
        (
            {"scenario": "D(1,2)", "concurrency": 1, "sampling": {"top_q": 1}},
            "workload.sampling.top_q: got an",
        ),
        ({"dataset": {"path": "ROW", "content": "x"}, "concurrency": 1}, "workload.dataset.content: got"),
    ],
)
def test_what_does_not_go_together_is_told(read: Any, file: Any, workload: dict[str, Any], says: str) -> None:
    text = json.dumps(workload)
    for name, content in (("ROW", ROW), ("TALK", TALK), ("TRACE", TRACE)):
        text = text.replace(f'"{name}"', json.dumps(file(content, name)))
    said = refusal(read, json.loads(text))
    assert said.startswith(says), said


def test_a_changed_file_is_another_experiment_and_the_old_one_can_still_be_read(read: Any, file: Any) -> None:
    text = HEAD + f"workload: {{dataset: {{path: {file(ROW)}}}, concurrency: 1}}\n"
    first = read(text)
    refuse_unbuilt(first)
    file(ROW.replace("3", "4"))
    second = read(text)
    assert first != second and first.hash != second.hash
    assert read(first.resolved_yaml()) == first
    Path(first.workload.points[0].dataset.path).unlink()
    assert read(first.resolved_yaml()) == first


def test_a_workload_is_shipped_with_its_files_and_refused_once_they_have_changed(file: Any) -> None:
    given = {"points": [{"name": "t", "trace": {"path": file(TRACE, "t")}}], "chat": True}
    part = {"dataset": {"path": file(ROW, "d")}}
    given["points"].append({"name": "m", "mix": [part, {"scenario": "D(1,2)"}], "concurrency": 1})
    workload = Workload.model_validate(given)
    sent = json.loads(json.dumps(workload.shipped()))
    Path(workload.points[0].trace.path).unlink()
    there = Workload.model_validate(sent)
    assert there.model_dump() == workload.model_dump()
    assert [r.input_tokens for r in there.points[0].trace.rows] == [4, 4]
    assert there.points[1].mix[0].dataset.rows[0].turns[0].asked == (("user", "a"),)
    file(ROW + ROW, "d")
    file(TRACE, "t")
    with pytest.raises(SpecError, match="would be right: the file that the experiment was made with"):
        workload.shipped()


def test_a_file_is_shipped_byte_by_byte(file: Any) -> None:
    path = file("\ufeff" + ROW.replace("\n", "\r\n"))  # as some editors write it
    workload = Workload.model_validate({"dataset": {"path": path}, "concurrency": 1})
    sent = workload.shipped()
    Path(path).unlink()
    (row,) = Workload.model_validate(sent).points[0].dataset.rows
    assert row.turns[0].asked == (("user", "a"),)


def test_a_trace_fills_in_its_mean_rate_and_says_so(file: Any) -> None:
    point = LoadPoint.model_validate({"trace": {"path": file(TRACE), "speed": 3.0}})
    assert (point.request_rate, point.arrivals) == (pytest.approx(6.0), "trace")
    assert point.lengths.mean_tokens() == (4, 4)


def test_rows_of_every_form_are_read() -> None:
    rows = parse_dataset('"just text"\n{"prompt": "p", "max_tokens": 7}\n' + TALK, "auto")
    assert [row.turns[row.alone].output_tokens for row in rows] == [None, 7, 2]
    assert rows[2].messages(0) == (("system", "x"), ("user", "y"))
    said = [{"from": w, "value": v} for w, v in zip(("human", "gpt", "human", "gpt"), "abcd", strict=True)]
    (row,) = parse_dataset(json.dumps([{"conversations": said}, {"id": "empty"}]), "auto")
    assert [t.asked for t in row.turns] == [(("user", "a"),), (("user", "c"),)]
    assert row.messages(row.alone) == (("user", "a"),) and row.turns[0].answer_tokens == 1
    history = [{"role": r, "content": c} for r, c in (("user", "a"), ("assistant", "b"), ("user", "c"))]
    (row,) = parse_dataset(json.dumps({"messages": history, "output_tokens": 5}), "auto")
    assert [c for _, c in row.messages(row.alone)] == ["a", "b", "c"]


def test_azures_times_and_mooncakes_milliseconds_become_seconds_from_the_first() -> None:
    azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:04.5000000,30,0\n"
    azure += "2023-11-16 18:17:03.2500000,4808,10\n"
    assert [(r.seconds, r.input_tokens, r.output_tokens) for r in parse_trace(azure, "auto")] == [
        (0.0, 4808, 10),
        (1.25, 30, 1),
    ]
    assert [r.seconds for r in parse_trace(TRACE, "auto")] == [0.0, 0.5]
