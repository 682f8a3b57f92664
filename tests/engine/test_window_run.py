"""`search.window` in whole commands: a run that is paused, and one that a closing window cuts."""

from __future__ import annotations

import subprocess
import textwrap
from datetime import UTC, datetime, timedelta

import psutil
import pytest
import whole_runs

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
INTERRUPTED = 130
IDLE_SHARE = 0.5  # of a core, at most, by a driver that is paused: Tune's own loop would take all of one


@pytest.fixture
def lab(tmp_path):
    made = whole_runs.Lab(tmp_path)
    yield made
    made.close()


def test_outside_its_hours_a_run_waits_idle_says_until_when_and_ctrl_c_ends_it(lab):
    now = datetime.now(UTC)
    hours = [(now + timedelta(hours=ahead)).strftime("%H:%M") for ahead in (2, 4)]
    window = f"{hours[0]}-{hours[1]} UTC"
    started = lab.start(lab.write(search={"window": window}))
    whole_runs.until(lambda: "paused until" in started.out, seconds=60, what="it is paused")
    assert f"{hours[0]} UTC (search.window {window})" in started.out
    assert lab.engines() == []
    told = subprocess.run(
        [lab.python, "-m", "tuner", "status"],
        cwd=lab.folder,
        env=lab.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "paused" in told.stdout and "until" in told.stdout, told.stdout + told.stderr
    driver = psutil.Process(started.process.pid)
    assert driver.cpu_percent(interval=2.0) < 100 * IDLE_SHARE
    started.interrupt()
    ended = started.wait(20)
    assert ended.code == INTERRUPTED, ended.err
    assert "Traceback" not in ended.err
    whole_runs.until(lambda: not lab.processes(), seconds=10, what="nothing is left running")


# The command under another clock: 23:00 until a round is measured, then a moment before 06:00, then after it,
# and 22:00 of the next evening once it was written down that a trial was cut.
SHIFTED = textwrap.dedent(
    """
    import sys, time, types
    from datetime import UTC, datetime
    from pathlib import Path
    from tuner.search import assembly, command

    def day(hour, minute=0, second=0, day=25):
        return datetime(2026, 11, day, hour, minute, second, tzinfo=UTC).timestamp()

    seen = {}

    def shifted():
        now = time.monotonic()
        if not any(Path("runs").glob("*/rounds.jsonl")):
            return day(23)
        cut = [p for p in Path("runs").glob("*/trials.jsonl") if "search.window" in p.read_text()]
        if cut and now - seen.setdefault("cut", now) > 6:
            return day(22, day=26) + now - seen["cut"]
        return day(6, 30, day=26) if now - seen.setdefault("round", now) > 1 else day(5, 59, 58, day=26)

    assembly.time = types.SimpleNamespace(time=shifted)
    sys.exit(command.main(sys.argv[1:]))
    """
)


def test_what_runs_at_the_closing_is_stopped_and_measured_again_when_the_window_opens(lab):
    experiment = lab.write(
        search={"window": "22:00-06:00 UTC", "trials": 1},
        validation={"enabled": False},
        workload={"rounds": 6},
        slo=None,
    )
    started = lab.launch([lab.python, "-c", SHIFTED, str(experiment), "--plain"])
    whole_runs.until(lambda: "paused until" in started.out, seconds=150, what="the window closes on trial 0")
    whole_runs.until(lambda: not lab.engines(), seconds=5, what="its engine is gone")
    ended = started.wait(90)
    assert ended.code == 0, f"{ended.out}\n{ended.err}"
    run = lab.the_run()
    assert whole_runs.ended_search(run) == [(0, 1, "interrupted"), (0, 2, "complete")]
    cut = whole_runs.lines(run / "trials.jsonl")[0]
    assert cut["failure"]["kind"] == "cancelled"
    assert cut["failure"]["message"].startswith("search.window 22:00-06:00 UTC closed")
    assert "paused until 2026-11-26 22:00 UTC" in ended.out
