"""Which hit rate of a prefix cache is no sign of contamination."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tuner.load.calibration import PromptLengths
from tuner.load.exchange import Exchange
from tuner.load.expected_hits import expected_hit_rate
from tuner.load.host_usage import HostUsage
from tuner.load.origin import Origin
from tuner.load.payload import Payload
from tuner.load.preparation import Prepared, _key
from tuner.load.request_maker import RequestMaker
from tuner.load.round import Passed
from tuner.load.schedule import Ask
from tuner.load.window import Window
from tuner.spec.workload import LoadPoint
from tuner.trial.ports import Endpoint


def expected(
    given: dict[str, Any],
    *,
    overhead: float = 0.0,
    sent: int = 100,
    turns: Sequence[tuple[int, int]] = (),  # (carried, all) tokens of each that was sent in the window
) -> float:
    point = LoadPoint.model_validate({"concurrency": 1, **given})
    found = Prepared(Payload("m", "completions"))
    fit = PromptLengths(overhead=overhead)
    for part in range(len(point.parts)):
        found.fits[_key(point, part)] = fit
    exchanges = [Exchange(asked_tokens=(asked, 9), carried_tokens=c, sent=0.5) for c, asked in turns]
    passed = Passed(Window(0.0, 1.0, 1.0), exchanges or [Exchange()] * sent, HostUsage())
    return expected_hit_rate(point, found, passed, number=2)


def test_new_prompts_may_hit_only_what_the_endpoint_puts_before_them() -> None:
    assert expected({"scenario": "D(100,9)"}) == 0
    assert expected({"scenario": "D(100,9)"}, overhead=30) == pytest.approx(0.3)  # a chat template


def test_the_shared_prefix_counts_once_though_the_calibration_holds_it_too() -> None:
    given = {"scenario": "D(100,9)", "shared_prefix": 40}
    assert expected(given, overhead=40) == pytest.approx(0.4)
    assert expected(given, overhead=50) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("lead_in", "least", "most"), [("none", 0.999, 1), ("round", 0.8, 0.99), ("request", 0, 0)]
)
def test_a_dataset_may_hit_as_often_as_its_rows_repeat(
    tmp_path: Path, lead_in: str, least: float, most: float
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": f"{k} question"}) for k in range(10)))
    given = {"dataset": {"path": str(path), "output_tokens": 25, "lead_in": lead_in}}
    assert least <= expected(given) <= most


def test_a_round_at_later_turns_than_usual_may_hit_what_they_carried() -> None:
    given = {"scenario": "D(100,50)", "conversations": {"turns": 3}}
    usual = [(0, 100), (150, 250), (300, 400)]
    assert expected(given, turns=usual) == expected(given) == pytest.approx(450 / 750)
    assert expected(given, turns=usual[:1] * 4) == expected(given)  # errs upwards
    assert expected(given, turns=[*usual, usual[2]]) == pytest.approx(750 / 1150)
    mixed = {"mix": [{**given, "shared_prefix": 40}, {"scenario": "D(100,50)", "shared_prefix": 40}]}
    assert expected(mixed, turns=usual[2:]) == pytest.approx(0.75 + 0.25 * 0.4)


def test_a_later_turn_is_recorded_with_what_it_carries() -> None:
    endpoint = Endpoint(url="http://127.0.0.1:1", model="m")
    maker = RequestMaker(
        origin=Origin.of(endpoint), payload=Payload("m", "chat"), writers=[], salt="s", name="load 1"
    )
    prompt = (("user", "x"),)
    carried = [
        maker.request(prompt, ask)[0].carried_tokens
        for ask in (Ask(100, 9), Ask(100, 9, 0, -1, 0, 30), Ask(100, 9, 0, -1, 2, 30))
    ]
    assert carried == [0, 0, 70]


def test_it_is_never_above_all_of_it() -> None:
    assert expected({"scenario": "D(10,9)"}, overhead=25) == 1
