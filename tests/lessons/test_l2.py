"""Lesson ``l2``: numbers by hand, other implementations, and what breaks each of its checks."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor

from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons import l2
from dropout_lab.lessons.l2 import experiment
from dropout_lab.lessons.l2.experiment import (
    EXAMPLES,
    FEATURES,
    SCALES,
    EnumeratedDropout,
    LeastSquares,
    closed_form,
    descend,
    expected_loss,
    make_problem,
    penalized_loss,
    plain_ridge,
)
from dropout_lab.lessons.parts import Table
from dropout_lab.rng import NumpyNoise
from tests.lessons.conftest import Told, checks_in, failed_in

CHECKS = [
    "expectation has a penalty",
    "both have one minimum",
    "SGD with masks finds it",
    "a minimum in any unit",
    "plain ridge differs",
    "error of Wager's formula",
    "Wager's is not exact",
    "deep: dropout's penalty",
    "deep: L2 penalty",
]


def one_feature() -> LeastSquares:
    """Return y = 2 x, exactly, at x = 1 and x = 2."""
    x = torch.tensor([[1.0], [2.0]]).double()
    return LeastSquares(x, 2 * x[:, 0], torch.tensor([2.0]).double())


def test_one_feature_by_hand() -> None:
    """X^T X = 5 and X^T y = 10; p / (1 - p) = 3 at p = 0.75: w = 10 / (5 + 3 * 5) = 1/2."""
    problem = one_feature()
    assert float(closed_form(problem, 0.75)) == pytest.approx(0.5, rel=1e-14)
    assert float(closed_form(problem, 0.0)) == pytest.approx(2.0, rel=1e-14)
    assert float(plain_ridge(problem, 15.0)) == pytest.approx(0.5, rel=1e-14)
    masks = EnumeratedDropout((0.75,), 1)
    assert float(descend(masks, problem)) == pytest.approx(0.5, rel=1e-13)


def test_the_expectation_of_one_feature_by_hand() -> None:
    """W = 1: dropped, the mean square of y is (4 + 16) / 2 = 10; kept, x w is 4 x, off by 2 x.

    Their squares are 4 and 16 too. So 10, whatever the chance; the formula: 2.5 + 3 * 2.5 = 10.
    """
    problem, masks = one_feature(), EnumeratedDropout((0.75,), 1)
    w = torch.ones(1, 1).double()
    assert float(expected_loss(masks, masks(problem.x), problem.y, w)) == pytest.approx(
        10, rel=1e-14
    )
    assert float(penalized_loss(problem, masks.p, w)) == pytest.approx(10, rel=1e-14)


def test_every_mask_comes_once_with_its_chance() -> None:
    masks = EnumeratedDropout((0.25, 0.5), 3)
    noisy = masks(torch.ones(1, 3).double())[:, :, 0]  # (ps, masks, units)
    for index, p in enumerate((0.25, 0.5)):
        kept = {tuple(row) for row in (noisy[index] > 0).int().tolist()}
        assert kept == set(itertools.product((0, 1), repeat=3))
        assert set(noisy[index].flatten().tolist()) == {0.0, 1 / (1 - p)}
        for row, chance in zip(noisy[index], masks.probabilities[index], strict=True):
            count = int((row > 0).sum())
            assert float(chance) == pytest.approx((1 - p) ** count * p ** (3 - count))
    assert masks.probabilities.sum(dim=1).tolist() == pytest.approx([1, 1])


def test_the_closed_form_is_ridge_on_features_of_root_mean_square_1() -> None:
    """Another implementation: scikit-learn's Ridge."""
    problem, p = make_problem(3), 0.3
    size = problem.x.square().sum(dim=0).sqrt().numpy()
    ridge = Ridge(alpha=p / (1 - p), fit_intercept=False).fit(
        problem.x.numpy() / size, problem.y.numpy()
    )
    np.testing.assert_allclose(closed_form(problem, p).numpy(), ridge.coef_ / size, rtol=1e-9)
    plain = Ridge(alpha=7.0, fit_intercept=False).fit(problem.x.numpy(), problem.y.numpy())
    np.testing.assert_allclose(plain_ridge(problem, 7.0).numpy(), plain.coef_, rtol=1e-9)


def test_the_penalties_of_logistic_regression_by_a_plain_loop() -> None:
    problem, p = make_problem(1), 0.25
    exact, quadratic, allowed = experiment.logistic_penalties(
        problem, EnumeratedDropout((p,), FEATURES), 0.5
    )
    x, b = problem.x.numpy(), 0.5 * problem.weights.numpy()
    z = x @ b
    mean = np.zeros(EXAMPLES)
    for mask in itertools.product((0, 1), repeat=FEATURES):
        chance = (1 - p) ** sum(mask) * p ** (FEATURES - sum(mask))
        mean += chance * np.log1p(np.exp(x * mask / (1 - p) @ b))
    assert float(exact) == pytest.approx(float((mean - np.log1p(np.exp(z))).sum()), rel=1e-10)
    s = 1 / (1 + np.exp(-z))
    by_hand = sum(
        s[i] * (1 - s[i]) * x[i, j] ** 2 * b[j] ** 2
        for i in range(EXAMPLES)
        for j in range(FEATURES)
    )
    assert float(quadratic) == pytest.approx(0.5 * p / (1 - p) * by_hand, rel=1e-10)
    assert float(allowed) > abs(float(exact - quadratic)) > 0


def test_the_table_has_the_solutions_side_by_side(told: Told) -> None:
    table = next(
        part for part in told("l2", 0.5, seed=2) if isinstance(part, Table) and part.digits == 3
    )
    closed = closed_form(make_problem(2), 0.5).tolist()
    assert [row[0] for row in table.rows] == [f"{scale:g}" for scale in SCALES]
    assert [row[2] for row in table.rows] == closed
    assert [row[3] for row in table.rows] == pytest.approx(closed, abs=1e-10)
    assert [row[4] for row in table.rows] == pytest.approx(closed, abs=0.05)


def test_its_checks_are_these(told: Told) -> None:
    assert list(checks_in(told("l2"))) == CHECKS


def test_dividing_by_p_breaks_what_rests_on_the_layer(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InvertedDropout, "kept_scale", lambda self, p: 1 / p)
    broken = set(failed_in(told("l2", 0.4)))
    assert broken == {
        "expectation has a penalty",
        "both have one minimum",
        "SGD with masks finds it",
        "a minimum in any unit",
        "error of Wager's formula",
    }


def test_too_few_steps_of_descent_break_its_check(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "DESCENT_STEPS", 100)
    assert failed_in(told("l2")) == ["both have one minimum"]


def test_draws_that_keep_too_often_break_that_of_sgd(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes = NumpyNoise.lanes
    monkeypatch.setattr(
        NumpyNoise, "lanes", lambda self, shape, device: lanes(self, shape, device) // 2 + 2**10
    )
    assert failed_in(told("l2")) == ["SGD with masks finds it"]


def test_plain_ridge_for_the_closed_form_is_found_out(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        l2,
        "closed_form",
        lambda problem, p: plain_ridge(problem, experiment.matching_ridge_strength(problem, p)),
    )
    assert failed_in(told("l2")) == CHECKS[1:5]


def test_a_quadratic_loss_would_make_wagers_form_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """A(z) = z^2 / 8 has A'' = 1/4 = s (1 - s) at s = 1/2."""
    monkeypatch.setattr(experiment, "softplus", lambda z: z.square() / 8)
    monkeypatch.setattr(torch, "sigmoid", lambda z: torch.full_like(z, 0.5))
    assert failed_in(list(l2._show_logistic(make_problem(0), 0.5))) == ["Wager's is not exact"]


def test_noise_that_is_not_multiplied_breaks_that_of_deeper_networks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drop = InvertedDropout.drop

    def added(self: InvertedDropout, x: Tensor) -> Tensor:
        return x + drop(self, torch.ones_like(x)) - 1

    monkeypatch.setattr(InvertedDropout, "drop", added)
    assert failed_in(list(l2._show_deep_network(0, 0.5))) == ["deep: dropout's penalty"]


def test_weights_whose_l2_would_stay_break_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """4 |W|^2 + |v|^2 / 4 is |W|^2 + |v|^2 where |v|^2 = 4 |W|^2: 24 times 1/16, 6 times 1."""

    def level(shape: tuple[int, ...], *key: int) -> Tensor:
        return torch.full(shape, 0.25 if shape == (4, FEATURES) else 1.0).double()

    monkeypatch.setattr(l2, "normal_draws", level)
    assert failed_in(list(l2._show_deep_network(0, 0.5))) == ["deep: L2 penalty"]
