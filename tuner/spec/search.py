"""The `objective`, `search` and `validation` sections."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from tuner.spec.faults import Fault, show
from tuner.spec.plugins import modules_in
from tuner.spec.section import Number, Section, Switch, Text, Whole
from tuner.spec.window import Window

Positive = Annotated[Whole, Field(ge=1)]
Multiple = Annotated[Number, Field(gt=0, le=10)]
EARLY_STOPS = ("auto", "none", *modules_in("search/stopping"))
STORAGE_PASSWORD = re.compile(r"(?<=://)([^:/]*):([^@]*)(?=@)")  # user and password, as SQLAlchemy reads them
VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)\}")
_PASSWORD_KEY = re.compile(r"[?&](password|passwd|sslpassword)=", re.IGNORECASE)


class Goal(Section):
    """One objective: `{maximize: metric}` or `{minimize: metric}`."""

    maximize: Text | None = None
    minimize: Text | None = None

    @model_validator(mode="after")
    def _one(self) -> Goal:
        if (self.maximize is None) == (self.minimize is None):
            got = "neither maximize nor minimize" if self.maximize is None else "both maximize and minimize"
            raise Fault(got=got, right="{maximize: output_tokens_per_second}")
        return self

    @property
    def metric(self) -> str:
        """The metric's name, with its load point where it has one."""
        return self.maximize or self.minimize or ""

    @property
    def is_maximized(self) -> bool:
        """Whether more is better."""
        return self.maximize is not None


class Budget(Section):
    """When a run ends before its trials are used up. What validation needs is kept back."""

    hours: Number | None = Field(default=None, gt=0, description="Wall time of the whole run.")
    accelerator_hours: Number | None = Field(default=None, gt=0)
    failures_in_a_row: Positive = Field(default=5, description="Of one cause, then the search ends.")
    no_better_for: Positive | None = Field(
        default=None, description="Trials without a new best, then the search ends."
    )


class Search(Section):
    """How configurations are proposed and when a trial is stopped."""

    sampler: Literal["auto", "tpe", "random", "grid", "qmc", "nsga2", "gp"] = Field(
        default="auto", description="auto: a model of what was measured, and of what a trial costs."
    )
    trials: Positive = Field(default=40, description="At most so many, the baseline included.")
    parallel: Positive | Literal["auto"] = Field(default="auto", description="Trials side by side.")
    early_stop: Text = Field(
        default="auto",
        description="auto: hopeless always, asha where measuring outlasts deploying.",
        json_schema_extra={"enum": list(EARLY_STOPS)},
    )
    seed: Whole = Field(default=0, ge=0)
    sentinel: Positive | Literal["auto", "none"] = Field(
        default="auto",
        description="The baseline is measured again after so many trials; auto: 20, from 40 trials on.",
    )
    budget: Budget = Field(default_factory=Budget)
    warm_start: Annotated[tuple[Text, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="Earlier runs to start from: their directories, or a surface (CSV) with its "
        "experiment.yaml beside it.",
    )
    minimum_gain: Annotated[Number, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="The search ends once one more trial is expected to gain less than this share of the "
        "best (sampler auto).",
    )
    window: Text | None = Field(
        default=None,
        description='Hours in which trials run: "22:00-06:00" (this machine\'s) or "22:00-06:00 UTC".',
    )
    storage: Text | None = Field(
        default=None,
        description="Optuna URL of the study, its password by reference; none: a file in the run directory.",
    )

    @field_validator("early_stop")
    @classmethod
    def _rule(cls, rule: str) -> str:
        if rule not in EARLY_STOPS:
            raise Fault(got=show(rule), right=f"one of {', '.join(EARLY_STOPS)}")
        return rule

    @field_validator("window")
    @classmethod
    def _hours(cls, text: str | None) -> str | None:
        if text is not None:
            Window.parsed(text)
        return text

    @property
    def hours(self) -> Window | None:
        """The window; None where trials run at any hour."""
        return None if self.window is None else Window.parsed(self.window)

    @field_validator("storage")
    @classmethod
    def _no_password(cls, url: str | None) -> str | None:
        """The file is copied into the run directory and shown to people; the value is not printed."""
        given = STORAGE_PASSWORD.search(url or "")
        if (given and not VARIABLE.fullmatch(given[2])) or _PASSWORD_KEY.search(url or ""):
            right = "postgresql+psycopg://USER@HOST/DATABASE with PGPASSWORD set, or USER:${VARIABLE}@HOST"
            raise Fault(got="a URL with a password", right=right)
        return url


class Validation(Section):
    """How the winner is measured again against the baseline."""

    enabled: Switch = True
    top: Positive = Field(default=2, description="How many of the best are deployed again.")
    deployments: Positive = Field(default=3, description="How often each, and the baseline.")
    rounds: Positive | None = Field(default=None, description="Of each deployment; none: as in the workload.")
    loads: tuple[Multiple, ...] = Field(
        default=(),
        max_length=8,
        description="Multiples of the load, such as [0.5, 0.75, 1.25]: a round more at each.",
    )
    simplify: Switch = Field(
        default=True, description="Flags of the winner go back to the baseline where that costs little."
    )
    margin: Number = Field(
        default=0.01, gt=0, le=0.2, description="What that may cost, as a share of the winner's value."
    )
