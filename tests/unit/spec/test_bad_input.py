"""Each fault of an experiment file is one line: file, line, key, what was got, what would be right."""

from pathlib import Path

import pytest
import yaml

from tuner.errors import SpecError
from tuner.spec import load_experiment

SOUND = """\
name: demo
model:
  synthetic: {}
deploy:
  backend: local
parameters:
  tp:
    values: [1, 2, 4]
  batch:
    low: 32
    high: 512
    step: 32
  ratio: {low: 0.5, high: 0.9, step: 0.1}
  mode: {values: [plain, eagle]}
  steps: {low: 1, high: 5, when: "mode == 'eagle'"}
constraints:
  - "tp * batch <= 1024"
baseline:
  tp: 1
  ratio: 0.8
workload:
  scenario: D(48,64)
  concurrency: 16
objective:
  maximize: output_tokens_per_second
slo:
  ttft_p95_ms: 500
search:
  trials: 10
  budget:
    hours: 1
"""

CASES = yaml.safe_load(Path(__file__).with_name("bad_input_cases.yaml").read_text())


def test_the_sound_file_is_sound(read):
    assert read(SOUND).space.size() > 1


@pytest.mark.parametrize("case", CASES)
def test_one_line_says_what_where_and_what_would_be_right(case, read, tmp_path):
    before, after, line, message = (CASES[case][key] for key in ("before", "after", "line", "says"))
    assert SOUND.count(before) == 1
    with pytest.raises(SpecError) as caught:
        read(SOUND.replace(before, after))
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 'experiment.yaml'}:{line}: {message}")
    assert "\n" not in said
    assert caught.value.line == line
    assert caught.value.exit_code == 2


def test_the_first_of_several_faults_is_told_with_their_number(read, tmp_path):
    with pytest.raises(SpecError) as caught:
        read(SOUND.replace("trials: 10", "trials: x").replace("low: 32", "low: y"))
    said = "parameters.batch.low: got 'y'; would be right: a whole number (and 1 more)"
    assert str(caught.value) == f"{tmp_path / 'experiment.yaml'}:10: {said}"


def test_faults_that_only_sections_together_show_are_counted_too(read):
    with pytest.raises(SpecError, match=r"experiment.yaml:19: baseline.tp: got 3; .* \(and 1 more\)$"):
        read(SOUND.replace("  tp: 1\n", "  tp: 3\n").replace("ttft_p95_ms: 500", "nothing: 500"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("- 1\n", "got no mapping"),
        ("just text", "got no mapping"),
        ("a: &a [*a]", "nested deeper"),
    ],
)
def test_a_file_that_is_no_experiment_is_refused(read, text, message):
    with pytest.raises(SpecError, match=message):
        read(text)


def test_aliases_that_grow_without_a_bound_are_refused(read):
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    text += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))
    with pytest.raises(SpecError, match="aliases that grow"):
        read(text)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"nothing.yaml: there is no such file; would be right: the path"):
        load_experiment(tmp_path / "nothing.yaml")


def test_a_directory_and_a_file_that_is_no_text_are_refused(tmp_path):
    with pytest.raises(SpecError, match="cannot be read: Is a directory"):
        load_experiment(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="cannot be read: it is not UTF-8 text"):
        load_experiment(tmp_path / "binary")
