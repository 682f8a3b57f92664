"""A study's storage on a server: its password by reference, and what becomes of a run while it is away."""

from __future__ import annotations

import optuna
import pytest
from sqlalchemy.exc import OperationalError, ProgrammingError

from tuner.errors import UserError, WorldError
from tuner.search.study_storage import Patience, opened
from tuner.spec.search import Search

URL = "postgresql+psycopg://study@db/study"
GONE = OperationalError("SELECT 1", {}, ConnectionError("server closed the connection unexpectedly"))


class Clock:
    """Time that only sleeping moves."""

    def __init__(self):
        self.seconds = 0.0

    def now(self):
        return self.seconds

    def sleep(self, seconds):
        self.seconds += seconds


class Server:
    """Fails with `error` until so many seconds have gone by."""

    def __init__(self, clock, *, away_until, error=GONE):
        self.clock, self.away_until, self.error, self.asked = clock, away_until, error, 0

    def __call__(self):
        self.asked += 1
        if self.clock.seconds < self.away_until:
            raise optuna.exceptions.StorageInternalError("invalid data") from self.error
        return "told"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def said():
    return []


@pytest.fixture
def patience(clock, said):
    return Patience(URL, say=said.append, seconds=60, now=clock.now, sleep=clock.sleep)


def test_a_server_that_is_started_again_is_waited_for_with_one_line(patience, clock, said):
    assert patience.insist(Server(clock, away_until=20)) == "told"
    assert said == [
        "the study's storage is away, waiting for it up to 60 s: server closed the connection unexpectedly"
    ]
    assert 20 <= clock.seconds < 21


def test_a_server_that_stays_away_ends_in_one_line_and_is_not_waited_for_again(patience, clock, said):
    with pytest.raises(WorldError, match=r"study storage: away for 60 s: server closed .*the run goes on"):
        patience.insist(Server(clock, away_until=3600))
    before = clock.seconds
    later = Server(clock, away_until=0)
    with pytest.raises(WorldError, match="away for 60 s"):
        patience.insist(later)
    assert (clock.seconds, later.asked, len(said)) == (before, 0, 1)


def test_what_the_server_refuses_is_not_asked_again(patience, clock, said):
    wrong = Server(clock, away_until=3600, error=ProgrammingError("INSERT", {}, ValueError("no such table")))
    with pytest.raises(WorldError, match=r"^study storage: no such table$"):
        patience.insist(wrong)
    assert (wrong.asked, said) == (1, [])


def test_a_file_is_not_waited_for(clock, said):
    file = Patience("sqlite:////runs/study.db", say=said.append, now=clock.now, sleep=clock.sleep)
    with pytest.raises(WorldError, match="study storage: server closed"):
        file.insist(Server(clock, away_until=3600))
    assert said == []


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://study:sesame@db/study",
        "mysql+pymysql://study:a/b:c@db/study",
        "postgresql+psycopg://study:x${NAME}@db/study",
        "postgresql+psycopg://db/study?user=study&password=sesame",
    ],
)
def test_a_password_in_the_url_is_refused_and_not_shown(url):
    with pytest.raises(
        ValueError, match=r"got a URL with a password; would be right: .*PGPASSWORD"
    ) as refused:
        Search(storage=url)
    assert "sesame" not in str(refused.value.errors()[0]["msg"])


@pytest.mark.parametrize(
    "url", [URL, "sqlite:///study.db", "postgresql+psycopg://study:${STUDY_PASSWORD}@db:5432/study"]
)
def test_a_password_by_reference_or_none_is_taken_as_it_is(url):
    assert Search(storage=url).storage == url


def test_the_password_goes_from_its_variable_to_the_driver_and_nowhere_else(monkeypatch):
    made = {}

    def storage(url, *, engine_kwargs):
        made.update(url=url, **engine_kwargs)
        raise ConnectionError("refused")

    monkeypatch.setattr(optuna.storages, "RDBStorage", storage)
    named = "postgresql+psycopg://study:${SECRET}@db/study?connect_timeout=1"
    with pytest.raises(WorldError) as refused:
        opened(named, environment={"SECRET": "se{s}@me"})
    assert str(refused.value) == f"study storage {named}: refused"
    assert made["url"] == "postgresql+psycopg://study@db/study?connect_timeout=1"
    assert made["connect_args"]["password"] == "se{s}@me"
    assert made["connect_args"]["tcp_user_timeout"] == 20_000
    assert "connect_timeout" not in made["connect_args"]


def test_a_variable_that_is_not_set_is_named():
    with pytest.raises(UserError, match="the variable SECRET is not set"):
        opened("postgresql+psycopg://study:${SECRET}@db/study", environment={})


@pytest.mark.parametrize(
    ("url", "said"),
    [("study.db", "got 'study.db'"), ("nosuch://db/study", "nosuch"), ("oracle://db/x", "package")],
)
def test_a_url_that_is_none_or_whose_driver_is_missing_is_a_mistake_in_one_line(url, said):
    with pytest.raises(UserError, match=said) as refused:
        opened(url, environment={})
    assert str(refused.value).startswith("search.storage: ") and "\n" not in str(refused.value)


class Lost:
    """A study whose storage went away for good after so many calls."""

    def __init__(self, study, calls):
        self._study, self._left = study, calls

    def __getattr__(self, name):
        if name not in ("begin", "round", "end"):
            return getattr(self._study, name)
        self._left -= 1
        if self._left < 0:
            raise WorldError("study storage: away for 60 s")
        return getattr(self._study, name)


@pytest.mark.parametrize("calls", range(12))
def test_whenever_the_study_is_lost_every_trial_stands_and_none_twice_once_it_is_back(run_of, calls):
    run = run_of(
        "search.trials=4", "search.sampler=grid", "validation.enabled=false", "search.early_stop=none"
    )
    run.start()
    run.desk._study = Lost(run.study, calls)
    with pytest.raises(WorldError):
        run.go()
    complete = [line.trial for line in run.store.trials if line.state == "complete"]
    assert run.start().go()
    ended = [line.trial for line in run.store.trials if line.state in ("complete", "failed")]
    assert ended[: len(complete)] == complete
    assert sorted(ended) == [0, 1, 2, 3]
    keys = [(line.key, line.round.number) for line in run.store.rounds]
    assert len(keys) == len(set(keys))
    assert [t.params for t in run.study._study.trials] == [
        {line.trial: line.params for line in run.store.trials}[n] for n in range(4)
    ]


def test_a_trial_measured_to_its_end_keeps_its_line_where_the_study_is_lost_in_that_moment(run_of):
    run = run_of("search.trials=1", "validation.enabled=false", "search.early_stop=none").start()
    run.desk._study = Lost(run.study, 3)  # begun, and two of three rounds
    with pytest.raises(WorldError):
        run.go()
    (line,) = run.store.trials
    assert line.state == "complete"
    run.start()
    (trial,) = run.study._study.trials
    assert (trial.state.name, sorted(trial.intermediate_values)) == ("COMPLETE", [1, 2, 3])
    assert run.go() and len(run.store.trials) == 1


def test_a_run_whose_study_is_lost_hands_nothing_out_and_still_comes_to_its_end(run_of):
    run = run_of("search.trials=2", "validation.enabled=false").start()
    run.desk._study = Lost(run.study, 0)
    with pytest.raises(WorldError) as lost:
        run.go()
    run.strategy.stop(str(lost.value))
    assert run.desk.finished and run.desk.running == []
