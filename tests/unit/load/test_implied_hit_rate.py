"""The hit rate that a workload implies, against counts made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tuner.load.implied_hit_rate import implied_prefix_hit_rate
from tuner.spec.workload import LoadPoint


def implied(given: dict[str, Any], **named: Any) -> float:
    point = LoadPoint.model_validate({"concurrency": 1, **given})
    return implied_prefix_hit_rate(point, window_seconds=1.0, **named)


@pytest.fixture
def dataset(tmp_path: Path) -> Any:
    def made(rows: list[Any], **given: Any) -> dict[str, Any]:
        path = tmp_path / "rows.json"
        path.write_text("\n".join(json.dumps(r) for r in rows))
        return {"dataset": {"path": str(path), "output_tokens": 25, **given}}

    return made


def test_new_prompts_imply_nothing_and_a_shared_prefix_its_share() -> None:
    assert implied({"scenario": "D(100,9)"}) == 0
    assert implied({"scenario": "D(100,9)", "shared_prefix": 40}) == pytest.approx(0.4)
    assert implied({"scenario": "D(10,9)", "shared_prefix": 40}) == pytest.approx(40 / 41)


def test_turns_imply_all_that_they_carry() -> None:
    # prompts of 10, 10+5+10 and 10+5+10+5+10 tokens; 0, 15 and 30 of them known
    given = {"scenario": "D(10,5)", "conversations": {"turns": 3}}
    assert implied(given) == pytest.approx(45 / 75)
    spread = {"scenario": "D(10,5)", "conversations": {"turns": {"low": 1, "high": 3}}}
    assert implied(spread) == pytest.approx((0 + 15 + 45) / (10 + 35 + 75))


def test_rows_imply_what_they_share_and_all_of_it_the_second_time(dataset: Any) -> None:
    rows = [{"prompt": "S" * 60 + c * 34} for c in "abcd"]  # 100 characters each with the role's line
    shared = 3 * 65 / 400
    assert implied(dataset(rows)) == pytest.approx(shared, abs=0.005)
    assert implied(dataset(rows), requests=8) == pytest.approx((shared + 1) / 2, abs=0.005)
    assert implied(dataset(rows, lead_in="request"), requests=800) == 0


def test_a_trace_implies_the_leading_blocks_that_were_sent_before(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    rows = [
        {"timestamp": 100 * k, "input_length": 40, "output_length": 1, "hash_ids": [0, 1 + k // 2, 500 + k]}
        for k in range(100)
    ]
    path.write_text("\n".join(json.dumps(r) for r in rows))
    given = {"trace": {"path": str(path), "block_tokens": 16}, "concurrency": None}
    # block 0 always (the ramp sent it), the second block every other time: 16 + 8 of 40
    assert implied(given) == pytest.approx(0.6)
    bare = [{k: v for k, v in r.items() if k != "hash_ids"} for r in rows]
    path.write_text("\n".join(json.dumps(r) for r in bare))
    assert implied(given) == 0


def test_a_mix_implies_its_parts_by_weight_and_length() -> None:
    mix = [{"weight": 3.0, "scenario": "D(100,9)", "shared_prefix": 50}, {"scenario": "D(500,9)"}]
    assert implied({"mix": mix}) == pytest.approx(0.75 * 50 / (0.75 * 100 + 0.25 * 500))
