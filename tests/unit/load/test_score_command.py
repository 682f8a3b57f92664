"""The user's own command: what it is told, what it may print, and that nothing of it stays."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time

import psutil
import pytest

from tuner.errors import Cancelled
from tuner.load.score_command import score_of
from tuner.spec.accuracy import ScoreCommand
from tuner.trial.ports import Endpoint, LoadError

ENDPOINT = Endpoint(url="http://127.0.0.1:9", model="llama", token="secret")


def score(run, *, endpoint=ENDPOINT, cancel=lambda: False, clock=time.monotonic, **more):
    return score_of(ScoreCommand(run=run, **more), endpoint, cancel=cancel, clock=clock)


def test_the_last_line_is_the_score():
    assert score("echo warming up; echo 0.5; echo; echo ' 0.625 '; echo") == 0.625


def test_the_endpoint_is_in_the_environment(tmp_path):
    out = tmp_path / "seen"
    score(f"env > {out}; echo 1")
    seen = dict(line.split("=", 1) for line in out.read_text().splitlines() if "=" in line)
    assert (seen["ENDPOINT_URL"], seen["ENDPOINT_MODEL"]) == ("http://127.0.0.1:9", "llama")
    assert (seen["OPENAI_BASE_URL"], seen["OPENAI_API_KEY"]) == ("http://127.0.0.1:9/v1", "secret")


def test_a_ca_of_its_own_is_a_file_while_the_command_runs():
    endpoint = Endpoint(url="https://127.0.0.1:9", model="m", ca_pem="PEM\n")
    assert score('test "$(cat "$SSL_CERT_FILE")" = PEM && echo 1', endpoint=endpoint) == 1


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ("echo bad key >&2; exit 3", "accuracy.command ended with 3: bad key"),
        (
            "echo the score is good",
            "accuracy.command printed 'the score is good' last; would be right: a number",
        ),
        ("true", "accuracy.command printed nothing last"),
        ("echo nan", "accuracy.command printed 'nan' last"),
    ],
)
def test_what_is_no_score_is_told_in_one_line(run, said):
    with pytest.raises(LoadError) as caught:
        score(run)
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)


def test_the_token_is_not_told():
    with pytest.raises(LoadError, match=r"ended with 1: Bearer \*\*\* is refused"):
        score('echo "Bearer $OPENAI_API_KEY is refused"; exit 1')


def ends(path):
    """Whether the process whose number stands there is gone within two seconds."""
    try:
        one = psutil.Process(int(path.read_text()))
        return one.status() == psutil.STATUS_ZOMBIE or one.wait(2) is None
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path):
    pid, seconds = tmp_path / "pid", itertools.count()
    with pytest.raises(
        LoadError, match=r"did not end within 5 s; would be right: .*accuracy.command.seconds"
    ):
        score(f"sleep 100 & echo $! > {pid}; wait", seconds=5, clock=lambda: next(seconds) * 2.0)
    assert ends(pid)


def test_a_command_is_ended_when_the_trial_is_cancelled(tmp_path):
    pid = tmp_path / "pid"
    with pytest.raises(Cancelled):
        score(f"echo $$ > {pid}; exec sleep 100", cancel=lambda: pid.exists() and bool(pid.read_text()))
    assert ends(pid)


def test_a_command_ends_with_the_process_that_runs_it_also_when_that_is_killed(tmp_path):
    pid = tmp_path / "pid"
    run = f"sleep 100 & echo $! > {pid}; wait"
    program = (
        "import time\nfrom tuner.load.score_command import score_of\n"
        "from tuner.spec.accuracy import ScoreCommand\n"
        "from tuner.trial.ports import Endpoint\n"
        f"score_of(ScoreCommand(run={run!r}), Endpoint(url='http://127.0.0.1:9', model='m'),"
        " cancel=lambda: False, clock=time.monotonic)"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        until = time.monotonic() + 30
        while not (pid.exists() and pid.read_text().strip()) and time.monotonic() < until:
            time.sleep(0.02)
        process.kill()
    assert ends(pid)


def test_what_a_command_leaves_behind_is_ended_too(tmp_path):
    pid = tmp_path / "pid"
    assert score(f"sleep 100 > /dev/null & echo $! > {pid}; echo 1") == 1
    assert ends(pid)
