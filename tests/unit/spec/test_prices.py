"""Prices, and the metrics that stand on them or on accelerators."""

from __future__ import annotations

import pytest

from tuner.errors import SpecError
from tuner.spec.unbuilt import refuse_unbuilt

SPACE = "parameters: {tp: {values: [1, 2], flag: --tp}, gpu: {values: [h100, a100], env: GPU}}\n"
TABLE = "prices: {h100: 3, a100: 1.5}\n"


@pytest.fixture
def load(sections):
    """Load an experiment of two parameters, with more sections."""
    return lambda more: sections(SPACE + more)


def price(experiment, **params):
    return experiment.space.price_per_hour(params)


def test_a_deployment_costs_its_accelerators_times_the_price_of_one(load):
    found = load("deploy: {accelerators: tp, price_per_hour: 2.5}\nbaseline: {tp: 1}\n")
    assert (price(found, tp=1), price(found, tp=2)) == (2.5, 5.0)


def test_a_deployment_without_accelerators_has_a_price_of_its_own(load):
    assert price(load("deploy: {price_per_hour: 0.4}\n"), tp=2) == 0.4


def test_without_a_price_nothing_is_known_of_the_cost(load):
    assert price(load(""), tp=2) is None
    assert not {"prices", "price_per_hour"} & {*load("").resolved(), *load("").resolved()["deploy"]}


def test_a_parameter_says_which_row_of_the_table_holds(load):
    found = load(TABLE + "deploy: {accelerators: tp, price_per_hour: gpu}\nbaseline: {tp: 1, gpu: h100}\n")
    assert (price(found, tp=2, gpu="h100"), price(found, tp=2, gpu="a100")) == (6.0, 3.0)


def test_a_row_is_named_or_is_the_only_one(load):
    product = "NVIDIA-H100-80GB-HBM3"
    two = load(f"prices: {{{product}: 3, a100: 1}}\ndeploy: {{accelerators: 2, price_per_hour: {product}}}\n")
    assert price(two) == 6.0
    assert price(load("prices: {h100: 3}\ndeploy: {accelerators: 1}\n")) == 3.0


def test_an_expression_gives_a_price_or_a_row(load):
    words = load("deploy: {price_per_hour: \"4 if gpu == 'h100' else 2\"}\nbaseline: {gpu: h100}\n")
    assert (price(words, gpu="h100"), price(words, gpu="a100")) == (4.0, 2.0)


def test_costs_and_figures_for_one_accelerator_are_objectives_and_slos(load):
    found = load(
        "deploy: {accelerators: tp, price_per_hour: 2.5}\nbaseline: {tp: 1}\n"
        "objective: [{minimize: cost_per_million_tokens}, "
        "{maximize: output_tokens_per_second_per_accelerator}]\n"
        "slo: {load.cost_per_million_output_tokens: 8}\n"
    )
    refuse_unbuilt(found)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            "objective: {maximize: output_tokens_per_second_per_accelerator}\n",
            "objective.maximize: got output_tokens_per_second_per_accelerator where deploy.accelerators is "
            "0; would be right: output_tokens_per_second, or deploy.accelerators",
        ),
        (
            "slo: {load.output_tokens_per_second_per_accelerator: 3}\n",
            "where deploy.accelerators is 0; would be right: load.output_tokens_per_second, or",
        ),
        (
            "objective: {minimize: cost_per_million_tokens}\n",
            "objective.minimize: got cost_per_million_tokens without a price; would be right: with "
            "deploy.price_per_hour",
        ),
        ("slo: {cost_per_million_output_tokens: 3}\nprices: {}\n", "without a price"),
        (
            "deploy: {price_per_hour: 2}\nobjective: {maximize: cost_per_million_tokens}\n",
            "would be right: minimize: cost_per_million_tokens",
        ),
        ("deploy: {price_per_hour: -1}\n", "deploy.price_per_hour: got -1; would be right: above 0"),
        ("prices: {h100: 0}\n", "prices.h100: got 0; would be right: above 0"),
        ("prices: {h100: cheap}\n", "prices.h100: got 'cheap'; would be right: a number"),
        (
            TABLE,
            "prices: got 2 of them and no word which; would be right: deploy.price_per_hour: which of them",
        ),
        (TABLE + "deploy: {price_per_hour: 3}\n", "prices: got a table beside deploy.price_per_hour 3"),
        (
            TABLE + "deploy: {price_per_hour: h-200x}\n",
            "deploy.price_per_hour: got 'h-200x'; would be right: a row of prices (h100, a100), or",
        ),
        (
            "prices: {h100: 3, b200: 5}\ndeploy: {price_per_hour: gpu}\nbaseline: {gpu: h100}\n",
            "deploy.price_per_hour: got 'a100' for",
        ),
        (
            TABLE + "deploy: {price_per_hour: gpu}\n",
            "got for the baseline, no value for 'gpu'; would be right: give it one, or default(gpu, 'h100')",
        ),
        (
            "prices: {gpu: 3, a100: 1}\ndeploy: {price_per_hour: gpu}\n",
            "prices.gpu: got the name of a parameter too",
        ),
        (
            "deploy: {accelerators: tp - 1, price_per_hour: 2}\nbaseline: {tp: 2}\n"
            "objective: {minimize: cost_per_million_tokens}\n",
            "deploy.accelerators: got 0 for tp=1",
        ),
        (
            "deploy: {price_per_hours: 2}\n",
            "deploy.price_per_hours: got an unknown key; would be right: price_per",
        ),
    ],
)
def test_what_cannot_be_told_is_one_line_that_says_what_would_be_right(load, more, says):
    with pytest.raises(SpecError) as error:
        load(more)
    assert says in str(error.value) and "\n" not in str(error.value)
