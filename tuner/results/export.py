"""best.json and best.yaml: what is recommended, on what grounds, and how to put it into service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import yaml

from tuner.results.answers_told import AnswersTold
from tuner.results.baseline_again import BaselineAgain
from tuner.results.files import told, write_whole
from tuner.results.limits import limits_json
from tuner.results.lines import TrialLine
from tuner.results.overview import BASELINE, Overview
from tuner.results.pareto import front_json
from tuner.results.plain_json import dumps
from tuner.results.run_directory import RunDirectory
from tuner.trial.serving import Serving
from tuner.verdict import Verdict

SCHEMA = 1


def write_best(run: RunDirectory, verdict: Verdict, *, serving: Serving | None = None) -> dict[str, Any]:
    """Write best.json, and best.yaml where there is a winner and `serving` says how to serve it.

    A best.yaml of an earlier verdict is removed where this one names no winner, so that nothing
    infeasible lies there to be applied.

    Returns:
        What best.json holds (schema 1): schema, run, experiment, experiment_hash, verdict, objectives,
        slos, winner and baseline (trial, params, arguments, metrics, ...; null where there is none), gain,
        flags (what each of the winner's is worth, and what told it), other_loads (the winner beside the
        baseline there), simplified (what became of the flags that may go back; null where nothing was
        tried), validation (one entry a deployment), pareto (of several objectives; else null), answers (what
        each combination lost; null where nothing was compared), noise_floor and drift (null where they are
        not known), importance, serving, paths.

    Raises:
        UserError, WorldError: a file could not be written.
    """
    seen = Overview.of(run)
    state = seen.state
    export = serving if verdict.winner is not None else None
    document = {
        "schema": SCHEMA,
        "run": run.name,
        "experiment": state.experiment,
        "experiment_hash": state.experiment_hash,
        "verdict": verdict.to_json(),
        "objectives": [{"metric": g.metric, "maximize": g.maximize} for g in state.goals],
        "slos": state.slos,
        "winner": _arm(seen, verdict.winner),
        "baseline": _arm(seen, BASELINE),
        "gain": verdict.gain.to_json() if verdict.gain else None,
        "flags": [one.to_json() for one in verdict.flags],
        "other_loads": [one.to_json() for one in verdict.loads],
        "simplified": verdict.simplified.to_json() if verdict.simplified else None,
        "validation": [_deployment(line) for line in seen.validation],
        "pareto": front_json(seen, verdict),
        "answers": AnswersTold(seen).to_json(),
        **BaselineAgain(seen).to_json(),
        "importance": state.importance,
        "serving": _serving(export) if export else None,
        "paths": {
            "report": run.report_path.name,
            "serving": run.best_yaml_path.name if export else None,
        },
    }
    if export is not None:
        write_whole(run.best_yaml_path, _best_yaml(run, verdict, seen.line_of(verdict.winner), export))
    else:
        with told(run.best_yaml_path), suppress(FileNotFoundError):
            run.best_yaml_path.unlink()
    write_whole(run.best_json_path, dumps(document, indent=2) + "\n")
    return document


def _arm(seen: Overview, trial: int | None) -> dict[str, Any] | None:
    """The configuration; `metrics` are of its validation where there is one, else of the search."""
    line = seen.line_of(trial)
    if line is None:
        return None
    return {
        "trial": line.trial,
        "params": line.params,
        "arguments": list(line.arguments),
        "feasible_in_search": line.feasible,
        "metrics": seen.measured(trial),
        "search_metrics": line.metrics,
        "limits": limits_json(seen, line.trial),
    }


def _deployment(line: TrialLine) -> dict[str, Any]:
    return {
        "trial": line.trial,
        "block": line.block,
        "attempt": line.attempt,
        "state": str(line.state),
        "value": line.value,
        "feasible": line.feasible,
        "violations": line.violations,
        "metrics": line.metrics,
    }


def _serving(serving: Serving) -> dict[str, Any]:
    return {
        "command": list(serving.command),
        "shell": serving.shell,
        "environment": serving.environment,
        "kind": "manifest" if serving.manifest else "command",
    }


def _best_yaml(run: RunDirectory, verdict: Verdict, line: TrialLine | None, serving: Serving) -> str:
    said = [f"Run {run.name}, trial {verdict.winner}. {verdict.headline}"]
    if not verdict.recommends:
        said.append("This is the best of the search so far, not a recommendation.")
    head = "".join(f"# {' '.join(sentence.split())}\n" for sentence in said)
    if serving.manifest:
        return head + serving.manifest.lstrip("\n")
    params: Mapping[str, Any] = line.params if line else {}
    return head + _yaml(
        {
            "trial": verdict.winner,
            "validated": verdict.recommends,
            "params": dict(params),
            "environment": dict(serving.environment),
            "command": list(serving.command),
            "shell": serving.shell,
        }
    )


def _yaml(document: Mapping[str, Any] | Sequence[Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
