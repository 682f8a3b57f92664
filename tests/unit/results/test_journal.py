from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tuner.errors import UserError, WorldError
from tuner.results.journal import Journal

ENTRIES = [{"trial": 0, "note": "käse"}, {"trial": 1, "metrics": {"a": 1.5}}, {"trial": 2}]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "trials.jsonl"
    journal = Journal(path)
    for entry in ENTRIES:
        journal.append(entry)
    journal.close()
    return path


def test_what_was_appended_is_read_in_order(written: Path) -> None:
    assert list(Journal(written).read()) == ENTRIES


def test_a_journal_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert list(Journal(tmp_path / "rounds.jsonl").read()) == []


def test_a_last_line_torn_at_any_byte_is_passed_over_and_cut_off_by_the_next_writer(written: Path) -> None:
    whole = written.read_bytes()
    last = whole.rstrip(b"\n").rindex(b"\n") + 1
    for length in range(last, len(whole)):
        written.write_bytes(whole[:length])
        assert list(Journal(written).read()) == ENTRIES[:2], length
        journal = Journal(written)
        journal.append({"trial": 9})
        journal.close()
        assert written.read_bytes() == whole[:last] + b'{"trial":9}\n', length


def test_a_last_line_of_zeros_left_by_a_power_cut_is_torn_too(written: Path) -> None:
    whole = written.read_bytes()
    written.write_bytes(whole + b"\0" * 40 + b"\n")
    assert list(Journal(written).read()) == ENTRIES
    journal = Journal(written)
    journal.append({"trial": 9})
    journal.close()
    assert written.read_bytes() == whole + b'{"trial":9}\n'


def test_a_damaged_line_in_the_middle_is_named_and_never_cut(written: Path) -> None:
    first, _, rest = written.read_bytes().partition(b"\n")
    written.write_bytes(first + b"\n<<<<\n" + rest)
    with pytest.raises(WorldError, match=r"trials\.jsonl:2: not a line of JSON"):
        list(Journal(written).read())
    journal = Journal(written)
    journal.append({"trial": 9})
    journal.close()
    assert written.read_bytes() == first + b"\n<<<<\n" + rest + b'{"trial":9}\n'


def test_each_line_is_on_disk_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    path = tmp_path / "trials.jsonl"
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(path.read_bytes()))
    journal = Journal(path)
    journal.append({"trial": 0})
    del synced[:-1]  # the directory's own, when the file is made
    journal.append({"trial": 1})
    journal.append({"trial": 2})
    assert [content.count(b"\n") for content in synced] == [1, 2, 3]


def test_a_full_disk_is_one_line_and_leaves_no_part_of_a_line(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real, calls = written.read_bytes(), os.write, []

    def full(descriptor: int, content: bytes) -> int:
        calls.append(content)
        if len(calls) == 1:
            return real(descriptor, content[:5])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    journal = Journal(written)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(WorldError, match=r"trials\.jsonl: No space left on device; free some space"):
            journal.append({"trial": 3})
    assert written.read_bytes() == before
    journal.append({"trial": 3})
    assert [entry["trial"] for entry in Journal(written).read()] == [0, 1, 2, 3]


def test_a_directory_that_cannot_be_written_is_the_persons_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UserError, match=r"trials\.jsonl: Read-only file system; choose a directory"):
        Journal(tmp_path / "trials.jsonl").append({})


def test_figures_that_json_has_no_word_for_are_still_valid_json(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"
    Journal(path).append({"nan": float("nan"), "deep": [{"inf": float("inf")}, -float("inf")]})

    def never(word: str) -> None:
        raise AssertionError(word)

    found = json.loads(path.read_text(), parse_constant=never)
    assert found == {"nan": None, "deep": [{"inf": "Infinity"}, "-Infinity"]}
