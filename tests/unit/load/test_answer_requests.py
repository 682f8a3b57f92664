"""Answers to fixed prompts over HTTP, in every form in which servers send log-probabilities."""

from __future__ import annotations

import json
import time
from functools import partial

import logprob_server as lp
import pytest

from tuner.errors import Cancelled
from tuner.load import HttpLoad
from tuner.load.answer_prompts import BUILT_IN
from tuner.load.answer_reading import NoLogprobs, read_answer
from tuner.load.answers import FIRST_TOKENS, LIKELIEST, MOST_PASSES
from tuner.spec.accuracy import Accuracy
from tuner.spec.workload import Workload
from tuner.trial.answers import difference
from tuner.trial.ports import Asked, Endpoint, LoadError


def never():
    return False


@pytest.fixture
def ask(tmp_path):
    """Ask a server for its answers to 200 prompts."""
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"prompt {i}"}) + "\n" for i in range(200)))

    def asked(server, *, passes=1, chat=False, cancel=never, token=None, url=None, **accuracy):
        workload = Workload.model_validate({"scenario": "D(8,8)", "concurrency": 2, "chat": chat})
        load = HttpLoad(
            workload, accuracy=Accuracy.model_validate({"prompts": {"path": str(path)}, **accuracy})
        )
        return load.answers(
            Endpoint(url=url or server.url, model="m", token=token), Asked(passes, scored=True), cancel=cancel
        )

    return asked


def body(logprobs):
    return json.dumps({"choices": [{"text": "x", "logprobs": logprobs}]}).encode()


FOUND = lp.places("p", 3)
ONE = {"yes": FOUND[0][0][1], "no": -1.75, "t0": -4.0}


@pytest.mark.parametrize("form", [lp.as_completion, lp.as_chat])
def test_both_forms_of_log_probabilities_read_the_same(form):
    found = read_answer(body(form(FOUND)))
    assert [place.said for place in found] == ["yes"] * 3
    assert found[0].logprobs == ONE


def test_a_token_is_known_by_its_id_where_the_server_tells_it():
    found = read_answer(body(lp.as_chat(FOUND, ids=True)))
    assert found[0].said == f"#{lp.hash_of('yes')}"


def test_the_token_that_was_said_counts_where_it_is_not_among_the_likeliest():
    sent = {"tokens": ["odd"], "token_logprobs": [-7.0], "top_logprobs": [{"a": -0.1}]}
    assert read_answer(body(sent))[0].logprobs == {"odd": -7.0, "a": -0.1}


def test_a_place_without_log_probabilities_is_left_out():
    sent = {"tokens": ["a", "b"], "token_logprobs": [None, -0.5], "top_logprobs": [None, {"b": -0.5}]}
    assert [place.said for place in read_answer(body(sent))] == ["b"]


@pytest.mark.parametrize(
    "sent",
    [
        {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": None},
        {"content": [{"token": "a", "logprob": -0.5}]},
    ],
)
def test_where_only_what_was_said_is_told_that_counts_alone(sent):
    assert read_answer(body(sent))[0].logprobs == {"a": -0.5}


@pytest.mark.parametrize(
    "sent",
    [
        b"no json",
        b"[]",
        b'{"choices": []}',
        body(None),
        body({}),
        body({"content": []}),
        body({"tokens": ["a"], "token_logprobs": [-1], "top_logprobs": [{}, {}]}),
        body({"content": [{"token": "a", "logprob": "x", "top_logprobs": []}]}),
    ],
)
def test_an_answer_without_any_is_told_from_one_with(sent):
    with pytest.raises(NoLogprobs):
        read_answer(sent)


def test_prompts_are_asked_greedily_with_the_likeliest_tokens_of_each_place(ask):
    with lp.LogprobServer() as server:
        found = ask(server, token="secret")
    assert len(found.prompts) == len(server.seen) == 200
    assert all(len(answer) == FIRST_TOKENS for answer in found.prompts)
    one = server.seen[0]
    assert (one["path"], one["token"]) == ("/v1/completions", "Bearer secret")
    assert (one["temperature"], one["logprobs"], one["stream"]) == (0, LIKELIEST, False)
    assert {request["prompt"] for request in server.seen} == {f"prompt {i}" for i in range(200)}


def test_a_chat_workload_asks_the_chat_api(ask):
    with lp.LogprobServer(lp.as_chat) as server:
        ask(server, chat=True)
    one = server.seen[0]
    assert one["path"] == "/v1/chat/completions"
    assert (one["logprobs"], one["top_logprobs"]) == (True, LIKELIEST)
    assert one["messages"][0]["role"] == "user"


def test_further_passes_put_other_prompts_beside_each_other_and_say_what_they_differ_by(ask):
    with lp.LogprobServer(answer=lp.restless()) as server:
        found = ask(server, passes=MOST_PASSES)
    assert len(found.again) == MOST_PASSES - 1 and all(nats > 0 for nats in found.again)
    asked = [request["prompt"] for request in server.seen]
    orders = [asked[i : i + 200] for i in range(0, len(asked), 200)]
    assert len(orders) == MOST_PASSES and len({tuple(order) for order in orders}) == MOST_PASSES
    assert all(sorted(order) == sorted(orders[0]) for order in orders)


def test_an_engine_whose_answers_do_not_hang_on_the_batch_is_asked_only_once_more(ask):
    with lp.LogprobServer() as server:
        assert ask(server, passes=MOST_PASSES).again == (0.0,)
    assert len(server.seen) == 400


def test_several_prompts_are_asked_at_a_time(ask):
    with lp.LogprobServer(seconds=0.005) as server:
        ask(server)
    assert 4 <= server.most_in_flight <= 8


def test_an_answer_belongs_to_its_prompt_whatever_the_order(ask):
    with lp.LogprobServer() as server:
        first, again = ask(server), ask(server)
    assert difference(first.prompts, again.prompts).nats == 0
    shifts = {answer[0].logprobs["yes"] for answer in first.prompts}
    assert len(shifts) > 50


def test_an_engine_that_answers_otherwise_is_told_apart(ask):
    def worse(prompt, tokens):
        return [[(t, v - 0.1 * (t == "yes")) for t, v in tops] for tops in lp.places(prompt, tokens)]

    with lp.LogprobServer() as server, lp.LogprobServer(answer=worse) as other:
        found = difference(ask(server).prompts, ask(other).prompts)
    assert 0.05 < found.nats < 0.1


def test_a_field_that_the_server_does_not_know_is_left_out(ask):
    def refuse(request):
        return (400, '{"error": "unknown field ignore_eos"}') if "ignore_eos" in request else None

    with lp.LogprobServer(refuse=refuse) as server:
        assert len(ask(server).prompts) == 200


def test_an_engine_without_log_probabilities_is_told_in_one_line(ask):
    with lp.LogprobServer(lambda found: None) as server, pytest.raises(LoadError) as caught:
        ask(server)
    said = str(caught.value)
    assert "the answer carries no log-probabilities; would be right: an engine that sends" in said
    assert said.endswith("or accuracy.check: off") and "\n" not in said


def test_an_engine_that_refuses_them_is_told_in_its_own_words(ask):
    refuse = partial(lambda request, words: (400, words), words="logprobs is not supported here")
    with lp.LogprobServer(refuse=refuse) as server, pytest.raises(LoadError, match="not supported here"):
        ask(server)


def test_a_few_prompts_that_fail_are_left_out(ask):
    def refuse(request):
        return (400, "too long") if request["prompt"] in ("prompt 7", "prompt 70") else None

    with lp.LogprobServer(refuse=refuse) as server:
        found = ask(server)
    assert [i for i, answer in enumerate(found.prompts) if not answer] == [7, 70]


def test_asking_ends_when_it_is_cancelled(ask):
    with lp.LogprobServer(seconds=5) as server:
        began = time.perf_counter()
        with pytest.raises(Cancelled):
            ask(server, cancel=lambda: True)
    assert time.perf_counter() - began < 1


def test_the_built_in_prompts_are_asked_where_no_file_is_named(ask):
    with lp.LogprobServer() as server:
        assert len(ask(server, prompts=None).prompts) == len(BUILT_IN)


def test_a_command_adds_its_score(ask):
    with lp.LogprobServer() as server:
        found = ask(server, command='echo loading; test -n "$ENDPOINT_URL" && echo 0.75')
    assert found.score == 0.75
