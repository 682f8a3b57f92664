"""The study on PostgreSQL: a run goes on from another node, and outlives its server's restarts."""

from __future__ import annotations

import secrets
import signal

import optuna
import pytest
from postgres_server import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

TRIALS = [0, 1, 2, 3]
_AWAY = "the study's storage is away, waiting for it up to 60 s"


@pytest.fixture
def password():
    return secrets.token_hex(16)


@pytest.fixture
def server(password):
    made = PostgresServer(password)
    try:
        made.create()
        yield made
    finally:
        made.close()


class Node:
    """A machine with a home, a folder and a Ray of its own; of others' it has the volume of runs alone."""

    def __init__(self, whole_runs, folder, volume, password):
        folder.mkdir()
        self.lab = whole_runs.Lab(folder)
        self.lab.runs = volume
        self._whole_runs = whole_runs
        self._password = password

    def start(self, experiment):
        command = [
            self.lab.python,
            "-m",
            "tuner.search",
            str(experiment),
            "--plain",
            "--runs",
            str(self.lab.runs),
        ]
        return self.lab.launch(command, PGPASSWORD=self._password)

    def until_measuring(self, trial, seconds=120):
        """Until a round of that trial is on disk, and its end is not."""

        def there():
            rounds = [
                line for path in self.lab.runs.glob("*/rounds.jsonl") for line in self._whole_runs.lines(path)
            ]
            return any(line["trial"] == trial and line["phase"] == "search" for line in rounds)

        self._whole_runs.until(there, seconds=seconds, what=f"a round of trial {trial}")


@pytest.fixture
def nodes(whole_runs, tmp_path, password):
    volume = tmp_path / "volume"
    volume.mkdir()
    made = [Node(whole_runs, tmp_path / name, volume, password) for name in ("one", "two")]
    yield made
    for node in made:
        node.lab.close()


def _experiment(lab, server):
    return lab.write(
        parameters={
            "slots": {"values": [2, 4, 8, 16], "flag": "--parallel"},
            "cache_v": {"values": ["f16"], "flag": "--cache-type-v"},
        },
        slo=None,
        workload={"rounds": 3},
        search={"trials": 4, "storage": server.url},
        validation={"enabled": False},
    )


def _whole_and_once(lab, whole_runs, server, monkeypatch, password):
    """Every trial ended once and no round stands twice, in the run's lines and in the study."""
    run = lab.the_run()
    ended = [(t, state) for t, _, state in whole_runs.ended_search(run) if state != "interrupted"]
    assert sorted(ended) == [(trial, "complete") for trial in TRIALS]
    rounds = [
        (line["trial"], line["attempt"], line["round"]["number"])
        for line in whole_runs.lines(run / "rounds.jsonl")
    ]
    assert len(rounds) == len(set(rounds))
    monkeypatch.setenv("PGPASSWORD", password)
    trials = optuna.load_study(study_name=run.name, storage=server.url).trials
    lines = {
        line["trial"]: line for line in whole_runs.lines(run / "trials.jsonl") if line["state"] == "complete"
    }
    assert [(t.number, t.state.name, t.params) for t in trials] == [
        (n, "COMPLETE", lines[n]["params"]) for n in TRIALS
    ]
    assert [t.values for t in trials] == [pytest.approx(lines[n]["values"]) for n in TRIALS]


def test_a_driver_killed_on_one_node_goes_on_from_another_with_the_study_and_the_runs_alone(
    nodes, server, whole_runs, monkeypatch, password
):
    one, two = nodes
    started = one.start(_experiment(one.lab, server))
    one.until_measuring(trial=1)
    kept = (one.lab.the_run() / "trials.jsonl").read_text()
    started.process.kill()
    started.process.wait()
    said = started.out + started.err
    one.lab.close()  # the node is gone, with its home, its Ray and the experiment's file
    (one.lab.folder / "small.yaml").unlink()

    run = two.lab.the_run()
    assert not (run / "study.db").exists()
    started = two.start(run / "experiment.yaml")
    two.until_measuring(trial=2)
    server.stop()  # in the middle of a trial
    whole_runs.until(lambda: _AWAY in started.out, seconds=60, what="it waits for the study's storage")
    server.start()
    ended = started.wait(200)
    assert ended.code == 0, ended.out + ended.err
    assert f"goes on with {run}: 1 ended trials are kept" in ended.out
    assert (run / "trials.jsonl").read_text().startswith(kept)
    assert (1, 2, "complete") in whole_runs.ended_search(run)  # its parameters stood in the study alone
    assert ended.out.count(_AWAY) == 1
    assert ended.error_lines == []
    _whole_and_once(two.lab, whole_runs, server, monkeypatch, password)
    _nowhere(password, two.lab, server, said + ended.out + ended.err)


def _nowhere(password, lab, server, said):
    """The password is in no file of the run, of Ray or of the study."""
    assert password not in said + server.text()
    sought = password.encode()
    for folder in (lab.runs, lab._short):
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                assert sought not in path.read_bytes(), path


def test_a_server_that_stays_away_ends_the_run_in_one_line_and_the_same_command_goes_on(
    nodes, server, whole_runs, monkeypatch, password
):
    node = nodes[0]
    experiment = _experiment(node.lab, server)
    started = node.start(experiment)
    node.until_measuring(trial=1)
    server.stop(how=signal.SIGQUIT)  # a crash
    ended = started.wait(150)
    assert ended.code == 1
    (line,) = ended.error_lines
    assert line.startswith("error: study storage: away for 60 s: ") and "the run goes on" in line
    assert node.lab.engines() == []

    refused = node.start(experiment).wait(60)
    assert refused.code == 1
    (line,) = refused.error_lines
    assert line.startswith(f"error: study storage {server.url}: ")

    server.start()
    again = node.start(experiment).wait(200)
    assert again.code == 0, again.out + again.err
    _whole_and_once(node.lab, whole_runs, server, monkeypatch, password)
