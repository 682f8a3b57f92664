"""A Load that measures nothing: rounds come from a function, at our own seam."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tuner.errors import Cancelled
from tuner.trial.answers import Answers, Place
from tuner.trial.histogram import Histogram
from tuner.trial.ports import Asked, Cancel, Endpoint, LoadError
from tuner.trial.rounds import PointResult, RoundResult, Trust

Rounds = Callable[[Endpoint, int], RoundResult]


def made_round(
    number: int,
    *,
    tokens_per_second: float = 100.0,
    ttft_ms: float = 50.0,
    seconds: float = 2.5,
    point: str = "load",
    errors: Mapping[str, int] | None = None,
    trust: Trust | None = None,
) -> RoundResult:
    """A round of one point in which all requests are alike."""
    requests = max(1, round(tokens_per_second * seconds / 64))
    spread = [ttft_ms * share for share in (0.9, 1.0, 1.1)] * 20  # enough to bound a p95
    histograms = {
        "ttft_ms": Histogram(spread),
        "tpot_ms": Histogram([10.0]),
        "itl_ms": Histogram([9.0, 11.0]),
        "e2e_ms": Histogram([x + 640 for x in spread]),
    }
    made = PointResult(
        point=point,
        window_seconds=seconds,
        requests=requests,
        output_tokens=round(tokens_per_second * seconds),
        input_tokens=48 * requests,
        errors=dict(errors or {}),
        cut=1,
        histograms=histograms,
        parts=(tokens_per_second,) * 5,
        trust=trust or Trust(achieved=1.0, asked=1.0, waves=2.0),
    )
    return RoundResult(number, 1_700_000_000.0 + number, seconds + 0.5, (made,))


def made_answers(*, shift: float = 0.0, passes: int = 1, score: float | None = None) -> Answers:
    """200 prompts, each answered "a b"; log-probabilities are `shift` off those of an engine with none."""
    places = tuple(Place(said, {said: -0.5 - shift, "c": -1.5 - shift}) for said in "ab")
    return Answers((places,) * 200, (0.001, 0.002, 0.0015)[: passes - 1], score)


@dataclass
class FakeLoad:
    """Answers as `rounds(endpoint, number)` says; keeps what it was asked.

    Attributes:
        serves: whether a probe, or opening a session, finds the endpoint answering.
        answered: what an endpoint answers to what it is asked.
        calls: every call in order: ("probe", url), ("answers", url, asked), ("open", url, salt),
            ("warm_up", seconds), ("round", number), ("close",).
    """

    rounds: Rounds = lambda endpoint, number: made_round(number)
    serves: Callable[[Endpoint], bool] = lambda endpoint: True
    answered: Callable[[Endpoint, Asked], Answers] = lambda endpoint, asked: made_answers(passes=asked.passes)
    calls: list[tuple[object, ...]] = field(default_factory=list)
    _endpoint: Endpoint | None = None
    _load: float = 1.0

    def probe(self, endpoint: Endpoint, *, timeout_seconds: float) -> None:
        self.calls.append(("probe", endpoint.url))
        self._check(endpoint)

    def answers(self, endpoint: Endpoint, asked: Asked, *, cancel: Cancel) -> Answers:
        self.calls.append(("answers", endpoint.url, asked))
        self._check(endpoint)
        _unless(cancel)
        return self.answered(endpoint, asked)

    def open(self, endpoint: Endpoint, *, salt: str, load: float = 1.0) -> None:
        self.calls.append(("open", endpoint.url, salt) if load == 1 else ("open", endpoint.url, salt, load))
        self._load = load
        self._check(endpoint)
        self._endpoint = endpoint

    def warm_up(self, *, seconds: float, cancel: Cancel) -> None:
        self.calls.append(("warm_up", seconds))
        self._opened()
        _unless(cancel)

    def run_round(self, number: int, *, cancel: Cancel) -> RoundResult:
        self.calls.append(("round", number))
        endpoint = self._opened()
        _unless(cancel)
        return replace(self.rounds(endpoint, number), load=self._load)

    def close(self) -> None:
        self.calls.append(("close",))
        self._endpoint = None

    def _opened(self) -> Endpoint:
        if self._endpoint is None:
            raise LoadError("no session is open; call open() first")
        return self._endpoint

    def _check(self, endpoint: Endpoint) -> None:
        if not self.serves(endpoint):
            raise LoadError(f"POST {endpoint.url}/v1/completions: refused: nobody listens")


def _unless(cancel: Cancel) -> None:
    if cancel():
        raise Cancelled("the load was cancelled")
