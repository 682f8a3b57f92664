"""One replica of an engine with continuous batching, simulated step by step.

What is scheduled follows the engines' own documentation and source (see README.md): in one step vLLM and
TensorRT-LLM take decodes first and fill the rest with prompts; SGLang takes prompts alone whenever some can
be admitted, unless chunks are mixed. What does not fit the KV cache any more is preempted, last come first,
and computed again. Times are milliseconds.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from served.step_times import StepTimes


@dataclass(frozen=True, slots=True)
class Rules:
    """How the replica schedules.

    Attributes:
        max_running: sequences at most.
        step_tokens: tokens of one step at most; where prompts are not mixed with decodes, of prompts.
        mixed: prompts beside decodes in one step.
        chunked: a prompt may be taken in parts.
        kv_tokens: that the KV cache holds.
        reserve: of outputs that are still to come: nothing, all, or a share that falls with time (SGLang).
        conservativeness: the start of that share is 0.7 times it.
        cached_tokens: of each prompt, found in the prefix cache.
        query: tokens of a decode in one step: 1, with drafts 1 + their number.
        accepted: tokens that a decode gains by one step.
    """

    max_running: int
    step_tokens: int
    mixed: bool
    chunked: bool
    kv_tokens: int
    reserve: Literal["none", "all", "share"] = "none"
    conservativeness: float = 1.0
    cached_tokens: int = 0
    query: int = 1
    accepted: float = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """Of this replica: a closed loop of `concurrency`, or an open one of `rate` requests a second."""

    draw: Callable[[random.Random], tuple[int, int]]
    concurrency: int = 0
    rate: float = 0.0
    warmup_seconds: float = 20.0
    window_seconds: float = 120.0
    enough_requests: int = 500


@dataclass(slots=True)
class Request:
    """One request; times in ms."""

    sent: float
    input: int
    output: int
    done: int = 0  # output tokens so far
    first: float = math.nan
    last: float = math.nan
    todo: int = 0  # prompt tokens to compute before it decodes
    since: float = 0.0  # the count of decode iterations when it joined


@dataclass(slots=True)
class Measured:
    """What a client sees in the window."""

    seconds: float
    output_tokens: float
    requests: list[Request] = field(default_factory=list)
    rejected: int = 0
    preemptions: int = 0
    peak_kv_tokens: float = 0.0
    kv_bound: bool = False


class Replica:
    """Runs one load; `run` may be called once."""

    def __init__(
        self,
        rules: Rules,
        times: StepTimes,
        host_ms: Callable[[int, int, float], float],
        load: Load,
        seed: int,
    ) -> None:
        self._rules, self._times, self._host, self._load = rules, times, host_ms, load
        self._rng = random.Random(seed)
        self._now = 0.0
        self._waiting: deque[Request] = deque()
        self._running: dict[int, Request] = {}
        self._ends: list[tuple[float, int]] = []  # (iteration at which it ends, its key)
        self._partial: Request | None = None
        self._iteration = 0.0
        self._kv = 0.0
        self._reserved = 0.0
        self._remaining = 0.0
        self._share = 0.7 * rules.conservativeness
        self._next_arrival = math.inf
        self._key = 0
        self._found = Measured(0.0, 0.0)

    def run(self) -> Measured:
        """Until the window is over, or enough requests were seen in a third of it."""
        load, found = self._load, self._found
        begin = load.warmup_seconds * 1e3
        end = begin + load.window_seconds * 1e3
        if load.concurrency:
            for _ in range(load.concurrency):
                self._arrive()
        else:
            self._next_arrival = self._gap()
        while self._now < end:
            self._step(begin)
            seen = len(found.requests)
            if seen >= load.enough_requests and self._now - begin > (end - begin) / 3:
                break
        found.seconds = max(self._now - begin, 1.0) / 1e3
        return found

    def _gap(self) -> float:
        return self._now + self._rng.expovariate(self._load.rate) * 1e3

    def _arrive(self) -> None:
        taken, given = self._load.draw(self._rng)
        todo = max(1, taken - self._rules.cached_tokens)
        self._waiting.append(Request(self._now, taken, given, todo=todo))

    def _step(self, begin: float) -> None:
        while self._next_arrival <= self._now:
            at, self._now = self._now, self._next_arrival
            self._arrive()
            self._next_arrival = self._gap()
            self._now = at
        self._make_room()
        parts = self._prompts()
        batch = len(self._running)
        tokens = sum(n for _, n, _ in parts)
        if not tokens and not batch:
            self._idle()
            return
        decodes = batch if self._rules.mixed or not tokens else 0
        behind = sum(r.input + r.done for r, _, _ in parts)
        context = (self._kv - behind) / batch if batch else 1.0
        if tokens:
            # a chunk of n behind p attends like a part of a prompt of n + 2p
            work = sum(n * (n + 2 * behind) for _, n, behind in parts) / tokens
            taken = self._times.prefill_ms(
                tokens, work, batch=decodes, context=context, query=self._rules.query
            )
        else:
            taken = self._times.decode_ms(batch, context)
        self._now += self._host(decodes, tokens, taken)
        if decodes:
            self._decoded(decodes, begin)
        self._prefilled(parts, begin)

    def _idle(self) -> None:
        if self._waiting:  # can never be admitted: larger than the cache or than a step
            self._waiting.popleft()
            self._found.rejected += 1
            self._now += 1.0
            if self._load.concurrency:
                self._arrive()
        else:
            self._now = self._next_arrival

    def _make_room(self) -> None:
        """Preempt, last come first, until every decode can add its tokens."""
        need = len(self._running) * self._rules.accepted
        while self._running and self._kv + need > self._rules.kv_tokens:
            self._found.kv_bound = True
            if len(self._running) == 1:
                return
            _, request = self._running.popitem()
            request.done = min(request.output - 1, request.done + int(self._iteration - request.since))
            request.todo = request.input + request.done
            self._kv -= request.todo
            self._remaining -= request.output - request.done
            self._reserved -= request.input + request.output
            self._waiting.appendleft(request)
            self._found.preemptions += 1
            self._share = min(1.0, self._share + 0.1)
            need = len(self._running) * self._rules.accepted

    def _prompts(self) -> list[tuple[Request, int, int]]:
        """(request, tokens now, tokens behind them) of this step."""
        rules = self._rules
        budget = rules.step_tokens - (len(self._running) * rules.query if rules.mixed else 0)
        parts: list[tuple[Request, int, int]] = []
        if self._partial is not None and budget > 0:
            request = self._partial
            n = min(request.todo, budget)
            parts.append((request, n, request.input + request.done - request.todo))
            budget -= n
        while budget > 0 and self._waiting and self._seats(parts) and self._admits(self._waiting[0]):
            request = self._waiting[0]
            if request.todo > budget and not rules.chunked:
                break
            n = min(request.todo, budget)
            self._waiting.popleft()
            self._kv += request.input + request.done
            self._reserved += request.input + request.output
            self._remaining += request.output - request.done
            parts.append((request, n, request.input + request.done - request.todo))
            budget -= n
        self._found.peak_kv_tokens = max(self._found.peak_kv_tokens, self._kv)
        return parts

    def _seats(self, parts: list[tuple[Request, int, int]]) -> bool:
        return len(self._running) + len(parts) < self._rules.max_running

    def _admits(self, request: Request) -> bool:
        size = request.input + request.done
        if self._rules.reserve == "all":
            fits = self._reserved + request.input + request.output <= self._rules.kv_tokens
        elif self._rules.reserve == "share":
            kept = self._remaining * self._share + request.output - request.done
            fits = self._kv + size + kept <= self._rules.kv_tokens or not self._running
            fits = fits and self._kv + size <= self._rules.kv_tokens
        else:
            fits = self._kv + size + len(self._running) <= self._rules.kv_tokens
        self._found.kv_bound |= not fits
        return fits

    def _decoded(self, batch: int, begin: float) -> None:
        gained = self._rules.accepted
        self._iteration += gained
        self._kv += batch * gained
        self._remaining -= batch * gained
        floor = 0.14 * 0.7 * self._rules.conservativeness
        self._share = max(floor, self._share - (0.7 * self._rules.conservativeness - floor) / 600)
        if self._now > begin:
            self._found.output_tokens += batch * gained
        while self._ends and self._ends[0][0] <= self._iteration:
            due, key = heapq.heappop(self._ends)
            request = self._running.get(key)
            if request is None or request.since + request.output - request.done > due + 1e-6:
                continue
            del self._running[key]
            over = self._iteration - due
            self._kv -= request.input + request.output + over
            self._remaining += over
            self._reserved -= request.input + request.output
            request.last = self._now
            if self._now > begin:
                self._found.output_tokens -= over
                self._found.requests.append(request)
            if self._load.concurrency:
                self._arrive()

    def _prefilled(self, parts: list[tuple[Request, int, int]], begin: float) -> None:
        self._partial = None
        for request, n, _ in parts:
            request.todo -= n
            if request.todo > 0:
                self._partial = request
                continue
            if math.isnan(request.first):
                request.first = self._now
                request.done += 1
                self._kv += 1
                self._remaining -= 1
                if self._now > begin:
                    self._found.output_tokens += 1
            request.since = self._iteration
            self._key += 1
            self._running[self._key] = request
            heapq.heappush(self._ends, (self._iteration + request.output - request.done, self._key))
