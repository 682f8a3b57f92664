"""Times to ready: medians by part."""

from __future__ import annotations

from typing import Any

from tuner.results.deploy_times import part_times


def came_up(lines: Any, *, cold: bool | None, **parts: float) -> Any:
    times = {"queue": 50.0, "waited": 1.0, **parts, "opened": 3.0, "warmup": 5.0, "rounds": 60.0}
    return lines.trial_line(1, cold=cold, times={**times, "total": 200.0})


def test_times_to_ready_are_medians_by_part_with_cold_and_warm_apart(lines: Any) -> None:
    a = [
        came_up(lines, cold=True, scheduled=1.0, started=40.0, ready=5.0, served=0.5),
        came_up(lines, cold=False, scheduled=1.0, started=2.0, ready=5.0, served=0.5),
        came_up(lines, cold=False, scheduled=3.0, started=4.0, ready=7.0, served=0.5),
    ]
    found = {
        (one.start, one.part): (one.seconds, one.deployments, other.seconds)
        for one, other in part_times(a, [came_up(lines, cold=False, scheduled=9.0)])
    }
    assert found["cold", "started"] == (40.0, 1, None)
    assert found["warm", "scheduled"] == (2.0, 2, 9.0)
    assert found["warm", "to ready"] == (11.5, 2, 9.0)
    assert list(found)[:5] == [("cold", p) for p in ("scheduled", "started", "ready", "served", "to ready")]
    assert ("warm", "queue") not in found


def test_deployments_that_never_served_do_not_count(lines: Any) -> None:
    failed = lines.failed_line(8)
    (part, other), *_ = part_times([failed, came_up(lines, cold=None, started=2.0)], [failed])
    assert (part.seconds, part.deployments) == (2.0, 1)
    assert (other.seconds, other.deployments) == (None, 0)
