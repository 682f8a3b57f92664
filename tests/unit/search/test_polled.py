"""What is asked beside the run."""

from __future__ import annotations

import threading

from tuner.search.polled import Polled


def test_the_last_answer_stands_until_the_next():
    answers, asked = iter(["t1 waits", "", ""]), threading.Event()
    seen = []

    def ask():
        answer = next(answers, None)
        if answer is None:
            asked.set()
            return ""
        seen.append(watch.answer)
        return answer

    with Polled(ask, otherwise="", every_seconds=0.001) as watch:
        assert asked.wait(5)
    assert seen == ["", "t1 waits", ""]


def test_an_answer_that_fails_counts_as_nothing_and_does_not_end_the_asking():
    asked = threading.Event()
    answers = iter([RuntimeError("gone"), "t1 waits"])

    def ask():
        answer = next(answers, "t1 waits")
        if isinstance(answer, Exception):
            raise answer
        asked.set()
        return answer

    with Polled(ask, otherwise="", every_seconds=0.001) as watch:
        assert asked.wait(5)
        while watch.answer != "t1 waits":
            asked.wait(0.001)
