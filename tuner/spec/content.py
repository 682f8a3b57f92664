"""What the requests of a load point are made of: files, conversations, sampling, a mix of several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from tuner.spec.dataset_rows import CHARACTERS_PER_TOKEN, DatasetRow, Turn, parse_dataset
from tuner.spec.faults import Fault, show
from tuner.spec.scenario import GRAMMAR, Scenario, parse_scenario
from tuner.spec.section import Number, Section, Text, Whole
from tuner.spec.trace_rows import TraceRow, parse_trace
from tuner.spec.workload_file import WorkloadFile


class Sampling(Section):
    """Sampling parameters, sent as they are named here; what is left out is not sent. Greedy by default."""

    temperature: Number = Field(default=0.0, ge=0, description="0 is greedy.")
    top_p: Number | None = Field(default=None, gt=0, le=1)
    top_k: Whole | None = Field(default=None, ge=-1, description="Not of OpenAI's API; engines know it.")
    min_p: Number | None = Field(default=None, ge=0, le=1, description="Not of OpenAI's API.")
    presence_penalty: Number | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: Number | None = Field(default=None, ge=-2, le=2)
    repetition_penalty: Number | None = Field(default=None, gt=0, description="Not of OpenAI's API.")
    seed: Whole | None = Field(default=None, ge=0, description="Of the engine's draws.")

    def fields(self) -> dict[str, Any]:
        """The body's fields."""
        return self.model_dump(exclude_none=True)


class Dataset(WorkloadFile):
    """A file of prompts, messages or conversations."""

    format: Literal["auto", "jsonl", "sharegpt"] = Field(
        default="auto", description="auto: a file that starts with [ is ShareGPT's."
    )
    output_tokens: Whole | None = Field(
        default=None,
        ge=1,
        description="Of answers whose row asks for none; left out, the length of the row's own answer.",
    )
    lead_in: Literal["round", "request", "none"] = Field(
        default="round",
        description="A word before each prompt, so that no earlier round is in the prefix cache: the same "
        "for all requests of a round, one for each request (nothing is shared at all), or none.",
    )

    def check(self, text: str) -> None:
        """Refuse rows that are of no use, or that ask for no output."""
        rows = parse_dataset(text, self.format)
        for row in rows:
            if self.output_tokens is None and any(_asks_nothing(row)):
                got = f"in line {row.line} of the file a row that asks for no number of tokens"
                right = "output_tokens, here or in the row"
                raise Fault(got=got, right=right, at=("output_tokens",))
        self.__dict__["rows"] = rows

    @cached_property
    def rows(self) -> tuple[DatasetRow, ...]:
        """The rows; read now where they have not been.

        Raises:
            Fault: there is no such file here, or another one.
        """
        return parse_dataset(self.text(), self.format)

    def answer_tokens(self, turn: Turn) -> int:
        """How many tokens the answer to `turn` is asked to have."""
        return turn.output_tokens or self.output_tokens or turn.answer_tokens or 1


class Trace(WorkloadFile):
    """A trace: when requests came, how long they were, and which blocks their prompts shared."""

    format: Literal["auto", "mooncake", "azure"] = Field(
        default="auto", description="auto: a file that starts with { is Mooncake's."
    )
    speed: Number = Field(default=1.0, gt=0, description="2 replays it in half of its time.")
    block_tokens: Whole = Field(default=512, ge=1, description="That a hash id stands for.")

    def check(self, text: str) -> None:
        """Refuse a trace that cannot be replayed."""
        rows = parse_trace(text, self.format)
        for number, row in enumerate(rows, start=1):
            if row.hash_ids and (len(row.hash_ids) - 1) * self.block_tokens >= row.input_tokens:
                got = f"{len(row.hash_ids)} hash_ids for {row.input_tokens} tokens in request {number}"
                right = f"one for each block of {self.block_tokens} tokens"
                raise Fault(got=got, right=right, at=("block_tokens",))
        self.__dict__["rows"] = rows

    @property
    def period_seconds(self) -> float:
        """After how long, at speed 1, the trace begins again: one mean gap behind its last request."""
        return self.rows[-1].seconds * len(self.rows) / (len(self.rows) - 1)

    @property
    def request_rate(self) -> float:
        """Requests per second, mean over the trace, as it is replayed."""
        return len(self.rows) / self.period_seconds * self.speed

    @cached_property
    def rows(self) -> tuple[TraceRow, ...]:
        """The rows; read now where they have not been.

        Raises:
            Fault: there is no such file here, or another one.
        """
        return parse_trace(self.text(), self.format)


class Span(Section):
    """A whole number drawn evenly, both ends included."""

    low: Whole = Field(ge=1, le=1000)
    high: Whole = Field(ge=1, le=1000)

    @model_validator(mode="after")
    def _rises(self) -> Span:
        if self.low > self.high:
            raise Fault(got=f"low {self.low}, high {self.high}", right="low at most high")
        return self


class Conversations(Section):
    """Conversations: each turn carries the earlier ones and the answers that were received."""

    turns: Whole | Span | None = Field(
        default=None,
        description="Of a conversation: a number, or {low: 2, high: 6} for one drawn evenly. With a dataset "
        "at most so many; left out, all that the row has.",
    )
    think_seconds: Number = Field(default=0.0, ge=0, le=3600, description="From an answer to the next turn.")
    think: Literal["constant", "exponential"] = Field(
        default="constant", description="How think_seconds are distributed; they are the mean."
    )

    @field_validator("turns")
    @classmethod
    def _some(cls, turns: int | Span | None) -> int | Span | None:
        if isinstance(turns, int) and not 1 <= turns <= 1000:
            raise Fault(got=show(turns), right="1 to 1000")
        return turns

    @property
    def span(self) -> tuple[int, int] | None:
        """(fewest, most) turns; None where the dataset says."""
        if self.turns is None:
            return None
        return (self.turns, self.turns) if isinstance(self.turns, int) else (self.turns.low, self.turns.high)


class Content(Section):
    """What requests are made of: lengths with generated text, or the rows of a file."""

    scenario: Text | None = Field(default=None, description="Lengths in tokens, e.g. D(512,128).")
    dataset: Dataset | None = Field(default=None, description="A file of prompts or conversations.")
    conversations: Conversations | None = Field(
        default=None, description="Several turns; the scenario's lengths are those of one turn."
    )
    shared_prefix: Whole = Field(default=0, ge=0, description="Tokens that all prompts start with.")

    @field_validator("scenario")
    @classmethod
    def _parses(cls, text: str | None) -> str | None:
        try:
            parse_scenario(text or "D(1,1)")
        except ValueError as error:
            right = GRAMMAR if "does not parse" in str(error) else str(error).partition(": ")[2]
            raise Fault(got=show(text), right=right) from error
        return text

    @cached_property
    def lengths(self) -> Scenario:
        """The parsed scenario; of a file its mean lengths (a prompt's at 4 characters a token)."""
        if self.scenario is not None:
            return parse_scenario(self.scenario)
        assert self.dataset is not None
        alone = [(row, row.turns[row.alone]) for row in self.dataset.rows]
        characters = sum(len(text) for row, _ in alone for _, text in row.messages(row.alone))
        return mean_scenario(
            characters / CHARACTERS_PER_TOKEN / len(alone),
            sum(self.dataset.answer_tokens(turn) for _, turn in alone) / len(alone),
        )

    @cached_property
    def mean_and_most_turns(self) -> tuple[float, int]:
        """Of its conversations; (1, 1) where there are none."""
        if self.conversations is None:
            return 1.0, 1
        span = self.conversations.span
        drawn = range(span[0], span[1] + 1) if span else None
        if self.dataset is None:
            assert drawn is not None
            return (drawn[0] + drawn[-1]) / 2, drawn[-1]
        rows = Counter(len(row.turns) for row in self.dataset.rows)
        turns = {has: [min(has, n) for n in drawn or (has,)] for has in rows}
        total = sum(count * sum(turns[has]) / len(turns[has]) for has, count in rows.items())
        return total / rows.total(), max(map(max, turns.values()))

    def described(self) -> str:
        """In a few words, for people."""
        text = self.scenario or (f"dataset {self.dataset.path}" if self.dataset is not None else "")
        return f"{text} in conversations" if self.conversations is not None else text

    def content_faults(self) -> Iterator[Fault]:
        """What does not go together, where one of scenario and dataset is there."""
        if self.dataset is not None and self.shared_prefix:
            right = "without it: a dataset's prompts stay as they are"
            yield Fault(got=str(self.shared_prefix), right=right, at=("shared_prefix",))
        if self.conversations is not None and self.dataset is None and self.conversations.turns is None:
            yield Fault(got="nothing", right="a number such as turns: 4", at=("conversations", "turns"))


class Part(Content):
    """One kind of request of a mix."""

    weight: Number = Field(default=1.0, gt=0, description="Its share of the requests, against the others'.")

    @model_validator(mode="before")
    @classmethod
    def _no_trace(cls, given: Any) -> Any:
        if isinstance(given, dict) and "trace" in given:
            right = (
                "a load point of its own: a trace says when its requests come, so a weight would say nothing"
            )
            raise Fault(got="a trace within a mix", right=right, at=("trace",))
        return given

    @model_validator(mode="after")
    def _one_content(self) -> Part:
        if (self.scenario is None) == (self.dataset is None):
            got = "both scenario and dataset" if self.scenario else "neither scenario nor dataset"
            raise Fault(got=got, right="one of them")
        for fault in self.content_faults():
            raise fault
        return self


def needs_chat(content: Content) -> str:
    """Why the chat API is needed; "" where it is not, or where its file has not been read here."""
    if content.conversations is not None:
        return "conversations"
    dataset = content.dataset
    rows = dataset.rows if dataset is not None and "rows" in dataset.__dict__ else ()
    return "a dataset of messages" if any(len(row.messages(row.alone)) > 1 for row in rows) else ""


def _asks_nothing(row: DatasetRow) -> Iterator[bool]:
    for turn in row.turns:
        yield turn.output_tokens is None and turn.answer is None


def mean_scenario(input_tokens: float, output_tokens: float) -> Scenario:
    """The fixed lengths that stand for what has these means."""
    pair = max(1.0, input_tokens), max(1.0, output_tokens)
    return Scenario("D", (pair[0], 0.0), (pair[1], 0.0), f"D({pair[0]:.0f},{pair[1]:.0f})")
