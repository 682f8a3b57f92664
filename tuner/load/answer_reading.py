"""Reads log-probabilities out of a completion, in the two forms that servers send them.

Completions as OpenAI had them, and vLLM, SGLang and TensorRT-LLM still have:
    {"tokens": [...], "token_logprobs": [...], "top_logprobs": [{token: logprob}, ...]}
chats, and llama.cpp for both:
    {"content": [{"token": ..., "logprob": ..., "top_logprobs": [{"token": ..., "logprob": ...}]}, ...]}
A token is known by its id where the server tells it, else by its text. Where a server tells of no token but
the one that it says, that one alone counts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from tuner.trial.answers import Answer, Place

_LEAST = -50.0  # nats; what is said to be impossible is this unlikely


class NoLogprobs(ValueError):
    """The answer carries none."""


def read_answer(body: bytes) -> Answer:
    """The places of one answer, not streamed.

    Raises:
        NoLogprobs: there are none in it.
    """
    try:
        found = json.loads(body)["choices"][0].get("logprobs")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise NoLogprobs("the answer is no completion") from error
    if not isinstance(found, Mapping):
        raise NoLogprobs("the answer carries no log-probabilities")
    try:
        places = tuple(_chat(found) if found.get("content") is not None else _completion(found))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise NoLogprobs("the log-probabilities are in no form that is known") from error
    if not places:
        raise NoLogprobs("the answer carries no log-probabilities")
    return places


def _completion(found: Mapping[str, Any]) -> Iterator[Place]:
    said = found["tokens"]
    likeliest = found.get("top_logprobs") or [None] * len(said)
    for token, own, tops in zip(said, found["token_logprobs"], likeliest, strict=True):
        if own is not None:
            yield _place(token, own, tops or {})


def _chat(found: Mapping[str, Any]) -> Iterator[Place]:
    for place in found["content"]:
        tops = {_name(top): top["logprob"] for top in place.get("top_logprobs") or ()}
        yield _place(_name(place), place["logprob"], tops)


def _place(said: str, own: float, tops: Mapping[str, float]) -> Place:
    return Place(said, {token: _nats(value) for token, value in {said: own, **tops}.items()})


def _name(token: Mapping[str, Any]) -> str:
    return f"#{token['id']}" if "id" in token else str(token["token"])


def _nats(value: float) -> float:
    number = float(value)
    if math.isnan(number):
        raise ValueError("NaN")
    return max(_LEAST, number)
