"""`search.window`: hours of every day, over midnight, in a stated time zone, through changes of the clock."""

from __future__ import annotations

import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tuner.errors import SpecError
from tuner.spec.faults import Fault
from tuner.spec.load import load_experiment
from tuner.spec.unbuilt import refuse_unbuilt
from tuner.spec.window import Window

TEXT = """\
name: d
model: {synthetic: {}}
parameters: {a: {values: [1, 2]}}
workload: {scenario: "D(8,8)", concurrency: 1, rounds: 4, round_seconds: 30, warmup_seconds: 5}
"""


def at(text, zone="Europe/Berlin"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def test_over_midnight_it_is_open_before_and_after_and_closed_by_day():
    night = Window.parsed("22:00-06:00 Europe/Berlin")
    assert night.shortest_seconds == 8 * 3600
    for text in ("2026-11-25 22:00", "2026-11-25 23:59", "2026-11-26 00:00", "2026-11-26 05:59"):
        assert night.open_now(at(text)) == (at("2026-11-25 22:00"), at("2026-11-26 06:00"))
    for text in ("2026-11-25 21:59", "2026-11-26 06:00", "2026-11-26 12:00"):
        assert night.open_now(at(text)) is None
    assert night.opens_at(at("2026-11-26 12:00")) == at("2026-11-26 22:00")
    assert night.opens_at(at("2026-11-26 01:00")) == at("2026-11-26 22:00")


def test_by_day_it_is_open_between_its_hours():
    day = Window.parsed("09:30-17:00 UTC")
    noon = at("2026-03-01 12:00", "UTC")
    assert day.open_now(noon) == (at("2026-03-01 09:30", "UTC"), at("2026-03-01 17:00", "UTC"))
    assert day.opens_at(noon) == at("2026-03-02 09:30", "UTC")
    assert day.shown(noon) == "2026-03-01 12:00 UTC"


def test_a_night_in_which_the_clock_changes_is_an_hour_longer_or_shorter():
    night = Window.parsed("22:00-06:00 Europe/Berlin")
    for day, hours in (("2026-10-24", 9), ("2026-03-28", 7)):
        since, until = night.open_now(at(f"{day} 23:00"))
        assert (until - since) / 3600 == hours


def test_without_a_zone_the_hours_are_this_machines(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert Window.parsed("22:00-06:00").open_now(at("2026-11-25 22:30", "America/New_York"))
        assert Window.parsed("22:00-06:00").open_now(at("2026-11-25 22:30", "Asia/Tokyo")) is None
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["22-6", "22:00-24:00", "22:60-06:00", "22:00 - 06:00", "night", ""])
def test_what_is_no_hours_says_how_they_are_written(text):
    with pytest.raises(Fault, match='would be right: hours such as "22:00-06:00"'):
        Window.parsed(text)


def test_a_zone_that_is_not_there_and_a_window_without_an_end_are_told():
    with pytest.raises(Fault, match="got 'Europe/Berlun'; would be right: a time zone such as"):
        Window.parsed("22:00-06:00 Europe/Berlun")
    with pytest.raises(Fault, match="an end that is not the beginning"):
        Window.parsed("06:00-06:00")


@pytest.fixture
def read(tmp_path):
    def made(*sets):
        (tmp_path / "e.yaml").write_text(TEXT)
        return load_experiment(tmp_path / "e.yaml", sets)

    return made


def test_the_key_is_read_kept_and_built(read):
    found = read("search.window=22:00-06:00 UTC")
    refuse_unbuilt(found)
    assert found.search.hours == Window.parsed("22:00-06:00 UTC")
    assert "window: 22:00-06:00 UTC" in found.resolved_yaml()
    assert read().search.hours is None


def test_a_window_in_which_no_trial_could_be_measured_is_refused(read):
    with pytest.raises(SpecError, match=r"search\.window: got '22:00-22:02'; would be right: at least 3 min"):
        read("search.window=22:00-22:02")
    with pytest.raises(SpecError, match=r"search\.window: got 'never'; would be right: hours such as"):
        read("search.window=never")
