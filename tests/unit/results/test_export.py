from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import Any

import yaml

from tuner.results.export import write_best
from tuner.results.run_directory import RunDirectory
from tuner.trial.serving import Serving
from tuner.verdict import Gain, Outcome, Verdict

NewRun = Callable[..., RunDirectory]
BETTER = Verdict(
    Outcome.BETTER, 0, 1, "Trial 1 is better.", gain=Gain(1.0, 0.9, 1.1, (1.0, 1.0)), gain_of=1, blocks=(0, 1)
)
NOTHING = Verdict(Outcome.NOTHING_FEASIBLE, 0, None, "Nothing is feasible.")
SERVING = Serving(command=("llama-server", "--model", "my model.gguf"), environment={"X": "a b"})


def test_best_json_holds_the_verdict_and_what_it_rests_on(new_run: NewRun, lines: Any) -> None:
    run = new_run()
    lines.fill(run)
    returned = write_best(run, BETTER, serving=SERVING)
    stored = json.loads(run.best_json_path.read_text())
    assert stored == json.loads(json.dumps(returned)) == run.best()
    assert stored["schema"] == 1
    assert Verdict.from_json(stored["verdict"]) == BETTER
    assert (stored["winner"]["trial"], stored["baseline"]["trial"]) == (1, 0)
    assert stored["winner"]["search_metrics"]["output_tokens_per_second"] == 200.0
    assert len(stored["validation"]) == 6
    assert stored["gain"] == {"share": 1.0, "low": 0.9, "high": 1.1, "blocks": [1.0, 1.0]}


def test_best_yaml_is_a_document_whose_shell_line_is_the_command(new_run: NewRun, lines: Any) -> None:
    run = new_run()
    lines.fill(run)
    write_best(run, BETTER, serving=SERVING)
    document = yaml.safe_load(run.best_yaml_path.read_text())
    assert document["validated"] is True
    assert document["params"]["parallel"] == 8
    assert shlex.split(document["shell"]) == ["X=a b", *document["command"]]
    assert document["command"] == ["llama-server", "--model", "my model.gguf"]


def test_a_manifest_is_exported_as_it_is_below_a_comment(new_run: NewRun, lines: Any) -> None:
    run = new_run()
    lines.fill(run)
    manifest = "apiVersion: v1\nkind: Pod\n"
    write_best(run, BETTER, serving=Serving(manifest=manifest))
    text = run.best_yaml_path.read_text()
    assert text.endswith(manifest)
    assert yaml.safe_load(text) == {"apiVersion": "v1", "kind": "Pod"}


def test_a_best_of_the_search_without_a_validation_is_marked(new_run: NewRun, lines: Any) -> None:
    run = new_run()
    lines.fill(run)
    write_best(run, Verdict(Outcome.UNVALIDATED, 0, 1, "Not\nvalidated."), serving=SERVING)
    text = run.best_yaml_path.read_text()
    assert yaml.safe_load(text)["validated"] is False
    assert "not a recommendation" in text


def test_nothing_feasible_leaves_nothing_to_apply(new_run: NewRun, lines: Any) -> None:
    run = new_run()
    lines.fill(run)
    write_best(run, BETTER, serving=SERVING)
    stored = write_best(run, NOTHING, serving=SERVING)
    assert not run.best_yaml_path.exists()
    assert (stored["winner"], stored["serving"], stored["paths"]["serving"]) == (None, None, None)
