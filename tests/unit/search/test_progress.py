"""The live table, and the lines where the output is no terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tuner.search.progress import Progress
from tuner.search.startup import Stopwatch
from tuner.trial.ports import Slot

COLUMNS = ("output_tokens_per_second", "ttft_p95_ms", "absent.ttft_p95_ms")


def shown_by(run, *, terminal, events=5_000):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=240)
    run.start()
    progress = Progress(
        console, strategy=run.strategy, columns=COLUMNS, planned=(8, 9), parallel=1, clock=lambda: run.seconds
    )
    run.watchers.append(progress)
    with progress:
        progress.waiting("waits for [a place]")
        run.go(events=events)
        progress.waiting("")
        if terminal:
            console.print(progress._render())
    return out.getvalue()


@pytest.fixture
def short(run_of, behaviour, usual_surface):
    """A run that also measures what is not a number: no request ends, and nothing fails."""
    return run_of("search.sampler=grid", "search.trials=8")


def test_without_a_terminal_every_deployment_is_one_line(short):
    lines = shown_by(short, terminal=False).splitlines()
    assert lines[0] == "waits for [a place]"
    lines.remove("the search ended: all 8 trials of the budget were started")  # said once
    assert len(lines) == 1 + len(short.store.trials)
    assert lines[1].startswith("trial 0 slots=1 batch=32 mode=safe | round 3/3 | output_tokens_per_second")
    assert all("best so far: " in line and "left" in line for line in lines[1:])
    assert any("failed: crash: the engine ended" in line for line in lines)
    assert any("block 3" in line for line in lines)


def test_on_a_terminal_there_is_a_table_with_running_rows(short):
    text = shown_by(short, terminal=True, events=5)
    assert "running" in text and "slots=1 batch=32 mode=safe" in text and "ttft_p95_ms" in text


def test_absent_metrics_are_a_dash(short):
    assert "absent.ttft_p95_ms -" in shown_by(short, terminal=False)


@pytest.mark.parametrize("terminal", [True, False])
def test_brackets_in_a_value_are_no_markup(run_of, terminal):
    text = """\
parameters: {mode: {values: ["[/b]", "[red]x"], flag: --mode}}
baseline: {mode: "[/b]"}
objective: {maximize: output_tokens_per_second}
"""

    def surface(trial):
        from types import SimpleNamespace

        return SimpleNamespace(
            tokens=100.0, ttft=50.0, failure=None, fails_in_round=0, trust=None, dies=False, interrupted=False
        )

    out = shown_by(run_of(text=text, surface=surface), terminal=terminal)
    assert "mode=[/b]" in out and "mode=[red]x" in out


def test_with_nothing_feasible_no_best_is_claimed(run_of, behaviour):
    run = run_of("search.sampler=grid", "search.trials=3", surface=lambda trial: behaviour(100.0, 500.0))
    assert "best so far: none feasible" in shown_by(run, terminal=False)


def test_the_stopwatch_tells_rays_time_from_ours():
    moments = iter([2.0, 5.0, 6.0])
    watch = Stopwatch(now=lambda: next(moments), started=0.0)
    watch.mark("imports")
    watch.mark("ray")
    watch.mark("study")
    watch.mark("first request", at=5.5)  # before the last mark: no time of its own
    assert watch.parts == {"imports": 2.0, "ray": 3.0, "study": 1.0, "first request": 0.0}
    assert (watch.total, watch.ours) == (6.0, 3.0)


def long_deployment(run_of, *, terminal):
    """What is shown of a deployment that pulls its image for half a minute."""
    run = run_of("search.trials=8").start()
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=240)
    progress = Progress(
        console, strategy=run.strategy, columns=COLUMNS, planned=(8, 9), parallel=1, clock=lambda: run.seconds
    )
    assignment, trial = run.desk.begin(Slot())
    progress.began(trial, assignment)
    for run.seconds in (1.0, 20.0, 21.0, 30.0):
        progress.noted({trial.name: "pulling [the image]" if run.seconds < 30 else "loading"})
    if terminal:
        console.print(progress._render())
    return out.getvalue(), trial.name


def test_a_deployment_that_takes_long_says_what_it_does_and_only_when_that_changes(run_of):
    text, name = long_deployment(run_of, terminal=False)
    assert text.splitlines() == [f"{name}: pulling [the image]", f"{name}: loading"]


def test_the_table_shows_what_a_running_deployment_does(run_of):
    text, _ = long_deployment(run_of, terminal=True)
    assert "loading" in text and "running" not in text


def test_rounds_left_out_are_said_in_the_deployments_line(past, score, made_round):
    from tuner.search.progress import _why
    from tuner.trial.rounds import Trust

    (deployment,) = past([score(100.0)]).deployments()
    deployment.rounds = [made_round(1), made_round(2, trust=Trust(client_bound=True))]
    assert _why(deployment) == "1 of 2 rounds left out: client-bound"
