"""The experiment: every section of the file, checked together."""

from __future__ import annotations

import hashlib
import json
import re
from functools import cached_property
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    SerializeAsAny,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    field_validator,
    model_validator,
)

from tuner.spec.accuracy import Accuracy
from tuner.spec.checks import faults_of
from tuner.spec.deploy import Deploy
from tuner.spec.document import dump
from tuner.spec.faults import Fault, Faults, show
from tuner.spec.goodput import Goodput
from tuner.spec.memory import Memory, memory_of
from tuner.spec.model import Model, Storage
from tuner.spec.parameter import Parameter
from tuner.spec.search import Goal, Search, Validation
from tuner.spec.section import Number, Section, Text
from tuner.spec.space import Space
from tuner.spec.types import parse_parameter
from tuner.spec.workload import Workload

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


def _listed(given: Any) -> Any:
    return [given] if isinstance(given, dict) else given


class Experiment(Section):
    """One experiment file, defaults filled in. Two are equal when their resolved contents are."""

    name: Text = Field(description="Lower case letters, digits and -; the file's name where it is left out.")
    model: Model
    storage: Storage | None = None
    deploy: Deploy = Field(default_factory=Deploy)
    prices: dict[Text, Annotated[Number, Field(gt=0)]] | None = Field(
        default=None,
        description="Price of one accelerator for an hour, by product or class of node; "
        "deploy.price_per_hour says which one holds.",
    )
    parameters: dict[str, Annotated[SerializeAsAny[Parameter], BeforeValidator(parse_parameter)]] = Field(
        min_length=1,
        description="What is tuned: name -> values or range, with a flag, a variable or a place.",
    )
    constraints: tuple[Text, ...] = Field(
        default=(), description="Expressions over the parameters that every configuration meets."
    )
    baseline: dict[str, StrictBool | StrictInt | StrictFloat | StrictStr] = Field(
        default_factory=dict,
        description="The configuration used today, trial 0; what is absent is not passed.",
    )
    workload: Workload
    objective: Annotated[tuple[Goal, ...], BeforeValidator(_listed), Field(min_length=1)] = Field(
        default=(Goal(maximize="output_tokens_per_second"),), description="One, or a list (Pareto)."
    )
    slo: dict[str, Number] = Field(
        default_factory=dict,
        description="Hard limits: metric or <point>.<metric> -> most (least where higher is better).",
    )
    goodput: Goodput | None = Field(
        default=None,
        description="Limits of one request; those within all of them per second are the metric goodput.",
    )
    accuracy: Accuracy = Field(default_factory=Accuracy)
    search: Search = Field(default_factory=Search)
    validation: Validation = Field(default_factory=Validation)
    _source: str = PrivateAttr(default="")

    @field_validator("name")
    @classmethod
    def _label(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise Fault(got=show(name), right="1 to 63 lower case letters, digits and -, a letter first")
        return name

    @model_validator(mode="after")
    def _together(self) -> Experiment:
        found = list(faults_of(self))
        if found:
            raise Faults(found)
        return self

    @property
    def source(self) -> str:
        """The file it was read from; "" where there was none."""
        return self._source

    @cached_property
    def space(self) -> Space:
        """The configurations."""
        return Space(
            self.parameters,
            self.constraints,
            accelerators=self.deploy.accelerators,
            price_per_hour=self.deploy.price_per_hour,
            prices=self.prices,
            baseline=self.baseline,
            memory=self.memory,
        )

    @cached_property
    def memory(self) -> Memory | None:
        """What is expected of each configuration's memory; None where too little is known."""
        return memory_of(self)

    @cached_property
    def compared(self) -> dict[str, str]:
        """The parameters whose combinations of values have their answers compared with the baseline's, and
        why; empty where nothing is compared.
        """
        return self.accuracy.compared(self.parameters, self.baseline)

    @property
    def limits(self) -> dict[str, float]:
        """Every hard limit of a configuration: the SLOs, and what answers may lose."""
        return {**self.slo, **self.accuracy.limits(self.parameters, self.baseline)}

    @cached_property
    def hash(self) -> str:
        """12 hexadecimal digits of the SHA-256 of the resolved content."""
        text = json.dumps(self.resolved(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def resolved(self) -> dict[str, Any]:
        """The content as JSON values, defaults filled in, absent keys left out."""
        return self.model_dump(mode="json", exclude_none=True)

    def resolved_yaml(self) -> str:
        """YAML that loads back to an equal experiment."""
        return dump(self.resolved())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Experiment) and self.resolved() == other.resolved()

    def __hash__(self) -> int:
        return hash(self.hash)
