"""The `accuracy` section: whether answers are compared with the baseline's, and what may change them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from tuner.spec.dataset_rows import DatasetRow, parse_dataset
from tuner.spec.faults import Fault
from tuner.spec.parameter import Parameter
from tuner.spec.section import Number, ParamValue, Section, Text
from tuner.spec.workload_file import WorkloadFile

FEWEST_PROMPTS = 200
MOST_PROMPTS = 1000  # of a longer file the first so many are sent
ACCURACY_LOSS = "accuracy_loss"
SCORE_LOSS = "score_loss"

# What changes answers, by the engines' flags: words joined by "-"; a "*" stands for any rest.
# Whatever only changes the order of sums (batch sizes, attention kernels, parallel layouts) is not here.
_CHANGES: dict[str, tuple[str, ...]] = {
    "KV-cache type": (
        "kv-cache-dtype",  # vLLM, SGLang, TensorRT-LLM
        "kv-cache-quant*",
        "kv-cache-config-dtype",
        "calculate-kv-scales",
        "quantization-param-path",  # SGLang: the scales of an FP8 cache
        "cache-type-k",  # llama.cpp, as the next five
        "cache-type-v",
        "ctk",
        "ctv",
        "cache-reuse",
    ),
    "quantisation": ("quantization", "quantization-config", "q", "qformat", "torchao-config", "quant-algo"),
    "number format": ("dtype", "torch-dtype", "enable-fp32-lm-head"),
    "speculative decoding": (
        "speculative-*",
        "spec-*",
        "num-speculative-tokens",
        "draft*",
        "model-draft",
        "md",
    ),
    "model variant": (
        "model",
        "m",
        "model-path",
        "model-file",
        "revision",
        "tokenizer",
        "lora*",
        "hf-overrides",
        "json-model-override-args",
        "storage-*",  # places: another directory of the claim
    ),
    "positions": ("rope-*", "yarn-*"),
    "sparse attention": ("enable-double-sparsity", "ds-*"),
}
_ENGINES = ("llama-arg-", "vllm-", "sglang-", "trtllm-")  # how their variables begin


def _command(given: Any) -> Any:
    return {"run": given} if isinstance(given, str) else given


class ScoreCommand(Section):
    """A command that asks the endpoint what it likes and prints a score, more is better."""

    run: Text = Field(description="For sh; its last line of output is the score.")
    tolerance: Number = Field(
        default=0.01, ge=0, description="Most that may be lost, as a share of the baseline's score."
    )
    seconds: Number = Field(default=1800.0, gt=0, description="That it may take.")


class AnswerPrompts(WorkloadFile):
    """A JSONL file of prompts, at least 200."""

    def check(self, text: str) -> None:
        """Refuse a file with too few rows."""
        rows = parse_dataset(text, "jsonl")
        if len(rows) < FEWEST_PROMPTS:
            right = f"at least {FEWEST_PROMPTS}: fewer do not tell a loss from luck"
            raise Fault(got=f"a file of {len(rows)} prompts", right=right, at=("path",))
        self.__dict__["rows"] = rows[:MOST_PROMPTS]

    @cached_property
    def rows(self) -> tuple[DatasetRow, ...]:
        """The rows that are sent; read now where they have not been.

        Raises:
            Fault: there is no such file here, or another one.
        """
        return parse_dataset(self.text(), "jsonl")[:MOST_PROMPTS]


class Accuracy(Section):
    """Whether, and how, what a configuration answers is compared with what the baseline answers."""

    check: Literal["auto", "always", "off"] = Field(
        default="auto",
        description="auto: where a parameter can change the answers; always: every configuration.",
    )
    tolerance: Number = Field(
        default=0.05,
        ge=0,
        description="Most by which log-probabilities of the baseline's tokens may change in the mean: 0.05 "
        "is 5 % of a token's probability. What the baseline differs by from itself is no loss.",
    )
    prompts: AnswerPrompts | None = Field(
        default=None, description="What is asked; left out, 200 built-in prompts."
    )
    parameters: tuple[Text, ...] | None = Field(
        default=None,
        min_length=1,
        description="Those that can change the answers; left out, they are known by their flags.",
    )
    command: Annotated[ScoreCommand | None, BeforeValidator(_command)] = Field(
        default=None, description="Prints a score of the endpoint; compared beside the log-probabilities."
    )

    @field_validator("parameters")
    @classmethod
    def _once(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        repeated = [n for i, n in enumerate(names or ()) if n in (names or ())[:i]]
        if repeated:
            raise Fault(got=f"{repeated[0]} twice", right="each parameter once")
        return names

    def shipped(self) -> dict[str, Any]:
        """The section's keys for where the answers are asked for, the prompts' text beside them."""
        keys = self.model_dump(mode="json", exclude_none=True)
        return {**keys, "prompts": self.prompts.shipped()} if self.prompts is not None else keys

    def compared(
        self, parameters: Mapping[str, Parameter], baseline: Mapping[str, ParamValue]
    ) -> dict[str, str]:
        """The parameters whose combinations of values are compared, each with what it changes.

        Empty where nothing can differ from the baseline: then nothing is asked.
        """
        if self.check == "off":
            return {}
        varied = {n: p for n, p in parameters.items() if p.count() != 1 or n not in baseline}
        return {name: what for name, p in varied.items() if (what := self._changes(name, p))}

    def limits(
        self, parameters: Mapping[str, Parameter], baseline: Mapping[str, ParamValue]
    ) -> dict[str, float]:
        """Metric of a loss -> the most of it; empty where nothing is compared."""
        if not self.compared(parameters, baseline):
            return {}
        found = {ACCURACY_LOSS: self.tolerance}
        return {**found, SCORE_LOSS: self.command.tolerance} if self.command is not None else found

    def _changes(self, name: str, parameter: Parameter) -> str:
        if self.check == "always":
            return "compared always"
        if self.parameters is not None:
            return "named by accuracy.parameters" if name in self.parameters else ""
        return what_changes(name, parameter)


def what_changes(name: str, parameter: Parameter) -> str:
    """What of the answers a parameter can change, by its flag, variable or place; "" for nothing known."""
    target = parameter.env or parameter.place or parameter.flag_name(name)
    word = target.strip("-=").lower().replace("_", "-").replace(".", "-")
    if parameter.env is not None:
        word = next((word.removeprefix(e) for e in _ENGINES if word.startswith(e)), word)
    for what, known in _CHANGES.items():
        if any(word.startswith(k[:-1]) if k.endswith("*") else word == k for k in known):
            return what
    return ""
