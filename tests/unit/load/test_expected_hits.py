"""Which hit rate of a prefix cache is no sign of contamination."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tuner.load.calibration import PromptLengths
from tuner.load.exchange import Exchange
from tuner.load.expected_hits import expected_hit_rate
from tuner.load.host_usage import HostUsage
from tuner.load.payload import Payload
from tuner.load.preparation import Prepared, _key
from tuner.load.round import Passed
from tuner.load.window import Window
from tuner.spec.workload import LoadPoint


def expected(given: dict[str, Any], *, overhead: float = 0.0, sent: int = 100) -> float:
    point = LoadPoint.model_validate({"concurrency": 1, **given})
    found = Prepared(Payload("m", "completions"))
    fit = PromptLengths(overhead=overhead)
    for part in range(len(point.parts)):
        found.fits[_key(point, part)] = fit
    passed = Passed(Window(0.0, 1.0, 1.0), [Exchange()] * sent, HostUsage())
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


def test_it_is_never_above_all_of_it() -> None:
    assert expected({"scenario": "D(10,9)"}, overhead=25) == 1
