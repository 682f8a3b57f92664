from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from tuner.errors import WorldError
from tuner.results.export import write_best
from tuner.results.html import Charts
from tuner.results.report import write_report
from tuner.results.run_directory import RunDirectory
from tuner.results.run_state import RunStatus
from tuner.trial.ports import Phase
from tuner.trial.serving import Serving
from tuner.verdict import Gain, Nearest, Outcome, Verdict

NewRun = Callable[..., RunDirectory]
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&<b>"
_VOID = {"meta", "img", "br", "link", "input", "hr"}
GAIN = Gain(1.02, 0.9, 1.2, (1.0, 1.01, 1.05))
VERDICTS = {
    Outcome.BETTER: Verdict(
        Outcome.BETTER, 0, 1, "Trial 1 is better.", gain=GAIN, gain_of=1, blocks=(0, 1, 2)
    ),
    Outcome.BETTER_TIED: Verdict(
        Outcome.BETTER_TIED, 0, 1, "Trial 1 of several.", gain=GAIN, gain_of=1, tied=(1, 4), blocks=(0, 1, 2)
    ),
    Outcome.NO_BETTER: Verdict(
        Outcome.NO_BETTER, 0, 0, "Keep it.", gain=Gain(0.0, -0.1, 0.1, (0.0,)), gain_of=1, blocks=(0,)
    ),
    Outcome.ONLY_WINNER_FEASIBLE: Verdict(Outcome.ONLY_WINNER_FEASIBLE, 0, 1, "Only trial 1."),
    Outcome.NOTHING_FEASIBLE: Verdict(
        Outcome.NOTHING_FEASIBLE, 0, None, "Nothing.", nearest=Nearest(2, {"ttft_p95_ms": 0.25})
    ),
    Outcome.UNVALIDATED: Verdict(Outcome.UNVALIDATED, 0, 1, "Not validated (interrupted)."),
}


class Page(HTMLParser):
    """What a browser would see: elements, text outside of scripts, the charts' figures."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.figures: dict[str, Any] = {}
        self._chart = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._chart = dict(attrs).get("data-chart") or ""
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, text: str) -> None:
        if self._chart and self.open[-1:] == ["script"]:
            self.figures[self._chart] = json.loads(text)
        elif self.open and self.open[-1] not in ("script", "style"):
            self.text.append(text)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def read(run: RunDirectory) -> Page:
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert page.open == []
    return page


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_verdict_stands_first(outcome: Outcome, new_run: NewRun, lines: Any) -> None:
    run = new_run(status=RunStatus.FINISHED, ended=lines.now + 300)
    lines.fill(run)
    write_best(run, VERDICTS[outcome], serving=Serving(command=("llama-server", "--parallel", "8")))
    page = read(run)
    headline = VERDICTS[outcome].headline
    assert headline in page.words
    assert page.words.index(headline) < page.words.index("Search")
    assert ("llama-server --parallel 8" in page.words) == (outcome is not Outcome.NOTHING_FEASIBLE)
    assert ("+102.0 %" in page.words) == (outcome in (Outcome.BETTER, Outcome.BETTER_TIED))


def test_each_chart_has_its_place_and_a_figure_that_plotly_takes(new_run: NewRun, lines: Any) -> None:
    import plotly.graph_objects as plotly

    run = new_run()
    lines.fill(run)
    write_best(run, VERDICTS[Outcome.BETTER])
    page = read(run)
    places = {attributes["id"] for _, attributes in page.tags if attributes.get("class") == "chart"}
    assert places == set(page.figures)
    assert {"chart-history", "chart-rounds", "chart-importance", "chart-blocks", "chart-gain"} <= places
    for figure in page.figures.values():
        plotly.Figure(figure)


def test_the_history_marks_each_way_to_end_and_counts_only_feasible_ones_as_best(
    new_run: NewRun, lines: Any
) -> None:
    run = new_run()
    lines.fill(run)
    traces = {trace["name"]: trace for trace in read(run).figures["chart-history"]["data"]}
    assert set(traces) == {
        "feasible", "infeasible", "stopped", "failed, not measured", "interrupted, not measured",
        "best feasible so far",
    }  # fmt: skip
    assert traces["best feasible so far"]["y"] == [100.0, 200.0, 200.0, 200.0, 200.0, 200.0]


def test_failures_come_with_their_class_and_the_end_of_the_log(new_run: NewRun, lines: Any) -> None:
    run = new_run()
    lines.fill(run)
    run.append_trial(lines.failed_line(9))
    run.write_log("d4m2k1x7-t0009-a1", "kept apart\n")
    words = read(run).words
    assert "crash (2)" in words
    assert "ggml: out of memory" in words
    assert "kept apart" in words


def test_trust_marks_are_counted(new_run: NewRun, lines: Any) -> None:
    run = new_run()
    lines.fill(run)
    assert "3 of 12 rounds (something else used the machine" in read(run).words


def test_nothing_is_fetched(new_run: NewRun, lines: Any) -> None:
    run = new_run()
    lines.fill(run)
    write_best(run, VERDICTS[Outcome.BETTER])
    page = read(run)
    assert not [(tag, a) for tag, a in page.tags if {"src", "href", "srcset", "action"} & set(a)]
    assert "link" not in [tag for tag, _ in page.tags]
    policy = [a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    assert "default-src 'none'" in (policy[0] or "")


def test_hostile_strings_are_shown_and_never_run(new_run: NewRun, lines: Any) -> None:
    run = new_run(
        experiment=HOSTILE,
        parameters=(HOSTILE,),
        importance={HOSTILE: 1.0},
        machine={HOSTILE: HOSTILE},
        spent_seconds={HOSTILE: 1.0},
        startup_seconds={HOSTILE: 1.0},
        slos={HOSTILE: 1.0},
    )
    (run.path / "experiment.yaml").write_text(HOSTILE)
    params = {HOSTILE: HOSTILE}
    run.append_round(lines.round_line(1, decision=HOSTILE))
    for trial, changes in enumerate([{}, {"phase": Phase.VALIDATION, "block": 0}]):
        run.append_trial(
            lines.trial_line(
                trial, params=params, metrics={HOSTILE: 2.0}, node=HOSTILE, engine_version=HOSTILE,
                violations={HOSTILE: 1.0}, times={HOSTILE: 1.0}, reason=HOSTILE, **changes,
            )
        )  # fmt: skip
    run.append_trial(lines.failed_line(2, HOSTILE, HOSTILE))
    write_best(
        run,
        Verdict(Outcome.UNVALIDATED, 0, 0, HOSTILE, details=(HOSTILE,)),
        serving=Serving(command=(HOSTILE,)),
    )
    page = read(run)
    charts = len(page.figures)
    assert [tag for tag, _ in page.tags].count("script") == charts + 2  # plotly.js and what draws
    assert not {"img", "b"} & {tag for tag, a in page.tags if tag != "b" or a}
    assert not [a for _, a in page.tags if any(name.startswith("on") for name in a)]
    assert HOSTILE in " ".join(page.text)
    drawn = json.dumps(page.figures)
    assert "<img" not in drawn
    assert "<script" not in drawn


def test_a_run_under_way_is_worth_a_look(new_run: NewRun, lines: Any) -> None:
    run = new_run()
    lines.fill(run)
    words = read(run).words
    assert "This run is running: 6 trials have ended, and there is no verdict yet." in words
    assert "Best so far, not validated: trial 1, output_tokens_per_second 200." in words


def test_an_empty_run_has_a_report_without_charts(new_run: NewRun) -> None:
    run = new_run(startup_seconds={}, spent_seconds={}, importance={})
    page = read(run)
    assert "No trial has ended yet." in page.words
    assert page.figures == {}
    assert run.report_path.stat().st_size < 100_000


def test_a_run_whose_driver_was_killed_says_so(new_run: NewRun) -> None:
    run = new_run()
    run.release()
    assert "This run is killed" in read(run).words


def test_metrics_beside_the_baseline_are_those_of_the_validation(new_run: NewRun, lines: Any) -> None:
    run = new_run()
    lines.fill(run)
    write_best(run, VERDICTS[Outcome.BETTER])
    words = read(run).words
    assert "Metrics, of the validation's merged rounds" in words
    found = re.search(r"output_tokens_per_second ([\d.]+) ([\d.]+) \+10[01]\.\d %", words)
    assert found is not None
    assert (float(found[1]), float(found[2])) == (pytest.approx(100, abs=1), pytest.approx(201, abs=1))


def test_a_report_that_cannot_be_written_is_one_line(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    run = new_run()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorldError, match=r"report\.html: No space left on device"):
        write_report(run)


def test_reading_a_run_imports_neither_pandas_nor_plotly() -> None:
    code = (
        "import sys, tuner.results.run_directory, tuner.results.tables, tuner.results.report\n"
        "sys.exit(bool({'pandas', 'plotly', 'scipy'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_figure_cannot_end_its_script_element() -> None:
    charts = Charts()
    charts.place("one", {"data": [{"name": "</script><b>&"}], "layout": {}})
    page = Page(str(charts.scripts()))
    assert page.figures == {"chart-one": {"data": [{"name": "</script><b>&"}], "layout": {}}}
    body = str(charts.scripts()).partition(">")[2].rpartition("</script>")[0]
    assert not set("<>&") & set(body)  # "</script " would end it too
