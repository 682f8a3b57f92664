"""The `workload` section: named load points and the lengths of rounds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from tuner.spec.content import Content, Part, Sampling, Trace, mean_scenario, needs_chat
from tuner.spec.faults import Fault, Faults, show
from tuner.spec.level import Level
from tuner.spec.rate_search import RateRange
from tuner.spec.scenario import Scenario
from tuner.spec.section import Number, Section, Switch, Text, Whole

MOST_IN_FLIGHT = 100_000


class LoadPoint(Content):
    """One named load: a closed loop (`concurrency`) or an open one (`request_rate`), or a trace's own times.

    With `ramp_to` the load changes over the window, in every round the same way.
    Its requests are made of a scenario, a dataset, a trace, or a mix of the first two.
    """

    # nothing of it is required by itself, and the schema says so rather than nothing
    model_config = ConfigDict(json_schema_extra={"required": []})

    name: Text = Field(default="load", description="Metrics of this point are named <name>.<metric>.")
    trace: Trace | None = Field(default=None, description="Replay these requests, each at its time.")
    mix: tuple[Part, ...] | None = Field(
        default=None, min_length=1, description="Several kinds of requests, each with its weight."
    )
    concurrency: Whole | None = Field(
        default=None, ge=1, le=MOST_IN_FLIGHT, description="Requests in flight."
    )
    request_rate: Number | None = Field(
        default=None,
        gt=0,
        description="Requests, or conversations that begin, per second (open loop); of a trace or a "
        "rate_search filled in.",
    )
    ramp_to: Number | None = Field(
        default=None,
        gt=0,
        description="What request_rate, or concurrency, goes to over the window, evenly; they are its start.",
    )
    rate_search: RateRange | None = Field(
        default=None, description="Search the highest rate under the SLOs, open loop; in place of a rate."
    )
    arrivals: Literal["constant", "poisson", "gamma", "trace"] = Field(
        default="poisson", description="trace: as in the trace, and only with one; filled in."
    )
    burstiness: Number = Field(default=1.0, gt=0, description="Gamma's shape: below 1 burstier than Poisson.")

    @field_validator("name")
    @classmethod
    def _word(cls, name: str) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
            raise Fault(got=show(name), right="lower case letters, digits, - and _, a letter first")
        return name

    @model_validator(mode="after")
    def _sound(self) -> LoadPoint:
        kinds = ("scenario", "dataset", "trace", "mix")
        given = [kind for kind in kinds if getattr(self, kind) is not None]
        if len(given) != 1:
            right = f"one of {', '.join(kinds)}, such as `scenario: D(512,128)`"
            raise Fault(got=f"both {given[0]} and {given[1]}" if given else "none of them", right=right)
        if self.trace is not None:
            self._take_times_of(self.trace)
        elif self.arrivals == "trace":
            raise Fault(got="'trace'", right="poisson, constant or gamma", at=("arrivals",))
        elif self.rate_search is not None:
            self._take_middle_of(self.rate_search)
        elif (self.concurrency is None) == (self.request_rate is None):
            both = self.concurrency is not None
            raise Fault(
                got="both concurrency and request_rate" if both else "neither concurrency nor request_rate",
                right="either concurrency (closed loop) or request_rate (open loop)",
            )
        faults = [
            *self._ramp_faults(),
            *(self._alone(given[0]) if given[0] in ("trace", "mix") else self.content_faults()),
        ]
        if faults:
            raise Faults(faults)
        return self

    def _take_times_of(self, trace: Trace) -> None:
        """Fill in what the trace says; what a resolved experiment says of it is taken."""
        if self.rate_search is not None:
            right = "without it: the trace says when requests come"
            raise Fault(got="rate_search with a trace", right=right, at=("rate_search",))
        if self.concurrency is not None:
            right = "without it: the trace says when requests come"
            raise Fault(got=str(self.concurrency), right=right, at=("concurrency",))
        if self.arrivals == "trace" and self.request_rate is not None:
            return
        if self.request_rate is not None:
            right = "without it: the trace says when requests come, and trace.speed how fast"
            raise Fault(got=f"{self.request_rate:g}", right=right, at=("request_rate",))
        # frozen for all but this: the point is not yet in anybody's hands
        object.__setattr__(self, "request_rate", trace.request_rate)
        object.__setattr__(self, "arrivals", "trace")

    def _ramp_faults(self) -> Iterator[Fault]:
        if self.ramp_to is None:
            return
        got = f"{self.ramp_to:g}"
        if self.trace is not None:
            right = "without it: the trace says when requests come"
            yield Fault(got=got, right=right, at=("ramp_to",))
        elif self.rate_search is not None:
            yield Fault(got=got, right="without it: rate_search says the rates", at=("ramp_to",))
        elif self.ramp_to == self.level.start:
            right = "without it, or another value than the load begins with"
            yield Fault(got=got, right=right, at=("ramp_to",))
        elif self.concurrency is not None and not (
            self.ramp_to.is_integer() and self.concurrency < self.ramp_to <= MOST_IN_FLIGHT
        ):
            # one that fell would have to drop answers that its users wait for
            right = f"a whole number above {self.concurrency}, at most {MOST_IN_FLIGHT:,}; or request_rate"
            yield Fault(got=got, right=right, at=("ramp_to",))

    def _take_middle_of(self, searched: RateRange) -> None:
        """Fill in the rate that stands for the range; what a resolved experiment says of it is taken."""
        for key, given in (("concurrency", self.concurrency), ("request_rate", self.request_rate)):
            if given is not None and (key, given) != ("request_rate", searched.middle):
                raise Fault(got=f"{given:g}", right="without it: rate_search says the rates", at=(key,))
        if self.converses:
            right = "without it: its probes are of single requests"
            raise Fault(got="rate_search with conversations", right=right, at=("rate_search",))
        object.__setattr__(self, "request_rate", searched.middle)

    def _alone(self, kind: str) -> Iterator[Fault]:
        for key in ("conversations", "shared_prefix"):
            if value := getattr(self, key):
                right = "without it, or within the parts" if kind == "mix" else "without it"
                yield Fault(got=show(value) if key == "shared_prefix" else key, right=right, at=(key,))

    @property
    def parts(self) -> tuple[Content, ...]:
        """The kinds of its requests: those of the mix, else itself."""
        return self.mix or (self,)

    @property
    def level(self) -> Level:
        """Its requests in flight (closed loop), or arrivals per second (open), over a round's window."""
        start = self.request_rate if self.concurrency is None else float(self.concurrency)
        assert start is not None
        return Level(start, start if self.ramp_to is None else self.ramp_to)

    def at(self, multiple: float) -> LoadPoint:
        """The same at so many times its level."""
        closed = self.concurrency is not None
        scaled = {
            name: max(1, round(value * multiple)) if closed else value * multiple
            for name in ("concurrency", "request_rate", "ramp_to")
            if (value := getattr(self, name)) is not None
        }
        return self.model_copy(update=scaled)

    @property
    def converses(self) -> bool:
        """Whether some of its requests follow from answers."""
        return any(part.conversations is not None for part in self.parts)

    @property
    def mean_turns(self) -> float:
        """Requests that come of one: the turns of a conversation, 1 where there are none."""
        parts = zip(self.weights, self.parts, strict=True)
        return sum(weight * part.mean_and_most_turns[0] for weight, part in parts)

    @property
    def weights(self) -> tuple[float, ...]:
        """The parts' shares of the requests; their sum is 1."""
        given = [part.weight for part in self.mix or ()] or [1.0]
        return tuple(w / sum(given) for w in given)

    @cached_property
    def lengths(self) -> Scenario:
        """The parsed scenario; of a file or a mix its mean lengths."""
        if self.trace is not None:
            rows = self.trace.rows
            count = len(rows)
            return mean_scenario(
                sum(r.input_tokens for r in rows) / count, sum(r.output_tokens for r in rows) / count
            )
        if self.mix is None:
            return super().lengths
        means = [part.lengths.mean_tokens() for part in self.mix]
        both = zip(self.weights, means, strict=True)
        ins, outs = zip(*((w * mean[0], w * mean[1]) for w, mean in both), strict=True)
        return mean_scenario(sum(ins), sum(outs))

    def described(self) -> str:
        """What its requests are made of, in a few words, for people."""
        if self.trace is not None:
            return f"trace {self.trace.path} at {self.trace.speed:g} times its speed"
        if self.mix is None:
            return super().described()
        named = zip(self.weights, self.mix, strict=True)
        return " + ".join(f"{w:.0%} {part.described()}" for w, part in named)


class Workload(Section):
    """What every trial is loaded with.

    One load point may be written without `points`; a bare list is the points, with default rounds.
    """

    points: tuple[LoadPoint, ...] = Field(min_length=1, description="Measured one after another in a round.")
    rounds: Whole = Field(default=4, ge=1, le=1000)
    round_seconds: Number = Field(default=20.0, gt=0, le=86_400, description="Window of each load point.")
    warmup_seconds: Number = Field(default=5.0, ge=0, le=86_400)
    request_timeout_seconds: Number = Field(default=120.0, gt=0)
    chat: Switch = Field(default=False, description="Use /v1/chat/completions, not /v1/completions.")
    sampling: Sampling = Field(default_factory=Sampling, description="Sent with each request.")
    seed: Whole = Field(default=0, ge=0, description="Of lengths and arrivals; the same for every trial.")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, given: Any) -> Any:
        if isinstance(given, list | tuple):
            return {"points": given}
        if isinstance(given, dict) and "points" not in given:
            point = {k: given[k] for k in LoadPoint.model_fields if k in given}
            rest = {k: v for k, v in given.items() if k not in LoadPoint.model_fields}
            return {**rest, "points": [point]}
        return given

    @field_validator("points")
    @classmethod
    def _unique(cls, points: tuple[LoadPoint, ...]) -> tuple[LoadPoint, ...]:
        names = [p.name for p in points]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise Fault(
                    got=f"a second load point {name!r}", right="a name of its own for each", at=(index,)
                )
        return points

    @model_validator(mode="after")
    def _fits_the_api(self) -> Workload:
        if not self.chat:
            for point in self.points:
                for part in point.parts:
                    if why := needs_chat(part):
                        raise Fault(got=f"false, and {why}", right="true", at=("chat",))
        return self

    @property
    def searched(self) -> LoadPoint | None:
        """The load point whose highest rate is searched; None where rates, or the concurrency, are given."""
        return next((point for point in self.points if point.rate_search is not None), None)

    @property
    def windows(self) -> int:
        """How many there are in a round: one of each load point, or the probes of a search over rates."""
        return sum(1 if p.rate_search is None else p.rate_search.probes for p in self.points)

    def at(self, multiple: float) -> Workload:
        """The same at so many times its load: requests in flight (whole ones) or arrivals per second."""
        if multiple == 1:
            return self
        return self.model_copy(update={"points": tuple(point.at(multiple) for point in self.points)})

    def shipped(self) -> dict[str, Any]:
        """The section for another machine: the content of its files with it, where they are small enough.

        `Workload.model_validate` takes it. A larger file must be there under the same path.

        Raises:
            SpecError: a file is not, or no longer, the one that the experiment was made with.
        """
        keys = self.model_dump(mode="json", exclude_none=True)
        for point, sent in zip(self.points, keys["points"], strict=True):
            if point.trace is not None:
                sent["trace"] = point.trace.shipped()
            for part, sent_part in zip(point.parts, sent.get("mix", [sent]), strict=True):
                if part.dataset is not None:
                    sent_part["dataset"] = part.dataset.shipped()
        return keys
