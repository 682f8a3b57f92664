"""The parts of the default strategy: encoding, surrogate, failures, acquisition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from tuner.search.auto.acquisition import log_expected_improvement, log_probability_within
from tuner.search.auto.encoding import Encoding, Levels
from tuner.search.auto.failures import Failures
from tuner.search.auto.kernel import Kernel
from tuner.search.auto.model import scalar
from tuner.search.auto.surrogate import Known, Surrogate

PARAMETERS = """\
parameters:
  slots: {values: [1, 2, 4, 8], flag: --parallel}
  chunk: {values: [-1, 256, 4096], flag: --chunk}
  fraction: {low: 0.7, high: 0.9, step: 0.1, flag: --fraction}
  kind: {values: [a, b, c], flag: --kind}
  fast: {type: bool}
  fixed: {values: [7], flag: --fixed}
  steps: {low: 1, high: 3, flag: --steps, when: "kind == 'a'"}
objective: {maximize: output_tokens_per_second}
"""


@pytest.fixture
def encoding(experiment):
    return Encoding(experiment(text=PARAMETERS).space)


def params(**changed):
    return {"slots": 2, "chunk": 256, "fraction": 0.8, "kind": "b", "fast": True, "fixed": 7, **changed}


def apart(x):
    return np.stack([(x[:, None, i] - x[None, :, i]) ** 2 for i in range(x.shape[1])])


def known(x, values, variance=None, lines=None):
    lines = np.zeros((len(x), 0)) if lines is None else lines
    return Known(apart(x), values, np.ones(len(x)) if variance is None else variance, lines)


def predicted(surrogate, x, new):
    """With an encoding of plain numbers, a column each."""
    levels = Levels(
        [new[:, [i]] for i in range(new.shape[1])], [np.arange(len(new))] * new.shape[1], len(new)
    )
    tables = [(x[:, None, i] - new[None, :, i]) ** 2 for i in range(x.shape[1])]
    return surrogate.predict(tables, levels, np.zeros((len(new), 0)))


def test_numbers_lie_by_their_ratios_or_ranks_between_0_and_1(encoding):
    rows = encoding.rows([params(slots=s) for s in (1, 2, 8)])
    assert rows[:, 0].tolist() == pytest.approx([0, 1 / 3, 1])
    ranks = encoding.rows([params(chunk=c) for c in (-1, 256, 4096)])
    assert ranks[:, 1].tolist() == pytest.approx([0, 0.5, 1])


def test_words_are_one_apart_and_a_single_value_has_no_column(encoding):
    rows = encoding.rows([params(kind="b"), params(kind="c")])
    squared = encoding.apart(rows, rows)
    assert squared[:, 0, 1].tolist() == pytest.approx([0, 0, 0, 1, 0, 0])
    assert encoding.parameters == 6


def test_what_is_inactive_differs_from_what_is_in_the_middle_and_from_what_is_left_to_the_engine(encoding):
    off, middle, left = params(kind="b"), params(kind="a", steps=2), params(kind="a")
    del left["slots"]
    rows = encoding.rows([off, middle, left])
    steps = encoding.apart(rows, rows)[5]
    assert steps[0, 1] == pytest.approx(1.0) and rows[2, 0] == 0.5


def test_the_slopes_of_the_likelihood_are_those_of_finite_differences():
    rng = np.random.default_rng(0)
    x = rng.random((9, 3))
    values, variance = np.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2], np.linspace(1, 3, 9)
    surrogate = Surrogate(3)
    centre, _ = surrogate._centre()
    stands_on = known(x, values, variance, 0.3 * x)
    theta = centre + 0.3 * rng.normal(size=len(centre))

    def cost(at):
        return surrogate._negative_log_posterior(at, stands_on)

    steps = 1e-5 * np.eye(len(theta))
    numeric = [(cost(theta + step)[0] - cost(theta - step)[0]) / 2e-5 for step in steps]
    assert cost(theta)[1] == pytest.approx(np.array(numeric), rel=1e-4, abs=1e-5)


def test_a_surrogate_tells_what_matters_from_what_does_not():
    rng = np.random.default_rng(1)
    x = rng.random((30, 4))
    values = np.log(100 * (1 + x[:, 0]) * (1 + 0.5 * x[:, 2])) + 0.01 * rng.normal(size=30)
    surrogate = Surrogate(4)
    surrogate.fit(known(x, values))
    new = rng.random((40, 4))
    mean, deviation = predicted(surrogate, x, new)
    true = np.log(100 * (1 + new[:, 0]) * (1 + 0.5 * new[:, 2]))
    assert np.abs(mean - true).max() < 0.08
    assert (np.abs(mean - true) < 3 * deviation + 0.01).mean() > 0.9
    assert 0.003 < surrogate.noise < 0.04


def test_a_measurement_of_fewer_rounds_is_believed_less():
    x = np.array([[0.0], [0.5], [1.0]])
    surrogate = Surrogate(1, steps=0)
    values = np.array([0.0, 0.3, 0.0])
    surrogate.fit(known(x, values))
    sure, _ = predicted(surrogate, x, x)
    surrogate.condition(known(x, values, np.array([1.0, 400.0, 1.0])))
    unsure, _ = predicted(surrogate, x, x)
    assert unsure[1] < sure[1] - 0.05


def test_the_kernel_is_its_prior_variance_at_no_distance():
    kernel = Kernel(np.array([0.5, 2.0, 1.0]), np.array([0.5, 0.3, 0.2]))
    assert kernel(np.zeros((3, 1, 1)))[0, 0] == pytest.approx(kernel.prior_variance)


def test_the_three_ways_to_a_covariance_agree(encoding):
    kernel = Kernel(np.linspace(0.3, 2, 6), np.array([0.5, 0.3, 0.2]))
    rows = encoding.rows([params(), params(slots=8, kind="a", steps=3), params(fast=False, kind="c")])
    plain = kernel(encoding.apart(rows, rows))
    levels = encoding.levels(rows)
    assert kernel.across(encoding.tables(rows, levels), levels) == pytest.approx(plain)
    assert kernel.with_slopes(encoding.apart(rows, rows))[0] == pytest.approx(plain)


def test_without_a_failure_everything_deploys_and_after_some_what_lies_beyond_does_not():
    rng = np.random.default_rng(2)
    rows = rng.random((25, 3))
    failures = Failures()
    failures.fit(rows, np.ones(25, dtype=bool))
    assert failures.log_probability(rows).tolist() == [0.0] * 25
    failures.fit(rows, rows[:, 0] + rows[:, 1] < 1.3)
    edges = np.array([[0.95, 0.95, 0.5], [0.05, 0.05, 0.5]])
    bad, good = np.exp(failures.log_probability(edges))
    assert bad < 0.2 and good > 0.9


def test_expected_improvement_is_the_textbook_one_and_keeps_an_order_far_below_the_best():
    mean, deviation = np.array([0.2, -0.5, 1.4]), np.array([0.3, 0.5, 0.2])
    z = (mean - 0.4) / deviation
    textbook = deviation * (norm.pdf(z) + z * norm.cdf(z))
    assert np.exp(log_expected_improvement(mean, deviation, 0.4)) == pytest.approx(textbook)
    far = log_expected_improvement(np.array([-60.0, -50.0, -40.0, -5000.0]), np.ones(4), 0.0)
    assert np.all(np.isfinite(far)) and far[3] < far[0] < far[1] < far[2]


def test_a_limit_is_kept_with_the_probability_of_the_normal():
    found = np.exp(log_probability_within(np.array([0.0, -1.0]), np.array([1.0, 0.5])))
    assert found == pytest.approx([0.5, norm.cdf(2.0)])


def test_several_objectives_become_one_that_never_prefers_what_is_worse_in_all():
    import random

    objectives = np.array([[1.0, 1.0], [0.5, 0.5], [math.nan, 1.0], [2.0, 0.0]])
    for seed in range(20):
        values = scalar(objectives, random.Random(seed))
        assert values[0] > values[1] and math.isnan(values[2])
