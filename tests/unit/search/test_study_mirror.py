"""The run's Optuna study: states told as they are, repaired when it is lost or lags behind."""

from __future__ import annotations

import warnings

import optuna
import pytest

from tuner.errors import WorldError
from tuner.search.study import StudyMirror
from tuner.trial.objective import Goal


@pytest.fixture
def finished(run_of):
    """A short run with complete, stopped and failed trials."""
    run = run_of(
        "search.trials=14", "search.sampler=grid", "validation.enabled=false", "search.early_stop=hopeless"
    ).start()
    assert run.go()
    return run


def opened(path):
    return optuna.load_study(study_name="demo", storage=path)


def told(study):
    return [
        (t.number, t.state.name, t.values, t.params, t.intermediate_values, t.constraints)
        for t in study.trials
    ]


def test_states_are_told_as_they_are(finished):
    study = opened(finished.storage)
    names = {"complete": "COMPLETE", "stopped": "PRUNED", "failed": "PRUNED"}
    assert [t.state.name for t in study.trials] == [names[line.state] for line in finished.searched]
    assert {line.state for line in finished.searched} == set(names)
    for trial, line in zip(study.trials, finished.searched, strict=True):
        assert trial.params == line.params
        if line.state == "complete":
            assert trial.values == pytest.approx(list(line.values))
        if line.state == "stopped":
            assert list(trial.intermediate_values) == [1]
        if line.state == "failed":
            assert trial.user_attrs["failure"] == "crash"


def test_every_trial_has_the_same_constraints_and_infeasible_ones_break_one(finished):
    for trial, line in zip(opened(finished.storage).trials, finished.searched, strict=True):
        assert set(trial.constraints) == {"deploys", "ttft_p95_ms"}
        assert all(v <= 0 for v in trial.constraints.values()) == line.feasible
        assert (trial.constraints["deploys"] > 0) == (line.state == "failed")


def test_a_lost_study_is_made_again_from_the_lines(finished):
    before = told(opened(finished.storage))
    finished.storage = optuna.storages.InMemoryStorage()
    finished.start()
    assert told(opened(finished.storage)) == before


def test_a_study_that_lags_behind_catches_up_without_a_warning(finished):
    before = told(opened(finished.storage))
    finished.storage = optuna.storages.InMemoryStorage()
    lines, finished.store.trials = finished.store.trials, finished.store.trials[:6]
    finished.start()
    seventh = lines[6]
    finished.study.begin(6, seventh.params, 1)
    finished.study.round(6, 1, 1.0)
    finished.store.trials = lines
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        finished.start()
    assert told(opened(finished.storage)) == before


def test_a_study_in_a_file_is_gone_on_with(run_of, tmp_path):
    run = run_of("search.trials=2", "search.sampler=grid", "validation.enabled=false", "search.seed=1")
    run.storage = f"sqlite:///{tmp_path / 'study.db'}"
    run.start()
    assert not run.go(events=4)
    assert run.start().go()
    assert {t.state.name for t in opened(run.storage).trials} <= {"COMPLETE", "PRUNED"}
    assert [t.params for t in opened(run.storage).trials] == [
        {line.trial: line.params for line in run.searched}[n] for n in (0, 1)
    ]


def test_a_trial_that_is_measured_again_shows_its_new_values(run_of):
    run = run_of().start()
    run.study.begin(0, run.experiment.space.baseline, 1)
    run.study.round(0, 1, 10.0)
    run.study.begin(0, run.experiment.space.baseline, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run.study.round(0, 1, 20.0)
    assert run.study._study.trials[0].intermediate_values == {1: 20.0}
    assert run.study.unfinished() == {0: (run.experiment.space.baseline, 2)}


def test_a_storage_that_cannot_be_reached_is_one_line(tmp_path):
    with pytest.raises(WorldError) as caught:
        StudyMirror(
            f"sqlite:///{tmp_path / 'absent' / 'study.db'}",
            "demo",
            goals=(Goal("output_tokens_per_second", True),),
            slos=(),
            distributions={},
        )
    assert "study storage sqlite:///" in str(caught.value) and "\n" not in str(caught.value)


def test_several_objectives_are_told_as_a_vector_and_have_no_intermediate_values(run_of):
    text = """\
parameters: {slots: {values: [1, 2, 8], flag: --parallel}, batch: {values: [32, 128], flag: -b}}
baseline: {slots: 1, batch: 32}
slo: {ttft_p95_ms: 100}
objective: [{maximize: output_tokens_per_second}, {minimize: ttft_p95_ms}]
"""
    run = run_of("search.early_stop=hopeless", "validation.enabled=false", text=text).start()
    assert run.go()
    trials = run.study._study.trials
    assert {t.state.name for t in trials} == {"COMPLETE", "PRUNED"}
    assert all(len(t.values) == 2 for t in trials if t.state.name == "COMPLETE")
    assert not any(t.intermediate_values for t in trials)


def test_importance_names_the_parameters_once_there_is_enough(run_of):
    run = run_of("search.sampler=grid", "validation.enabled=false", "search.early_stop=none").start()
    assert run.study.importance() == {}
    assert run.go()
    found = run.study.importance()
    assert max(found, key=lambda name: found[name]) == "slots"
