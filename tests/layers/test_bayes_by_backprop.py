"""Bayes by Backprop: the KL against quadrature and by hand, the start, and the noise."""

import math

import pytest
import torch
from scipy import stats
from scipy.integrate import quad

from dropout_lab.layers import BayesByBackprop, DropoutLinear
from dropout_lab.layers.bayes_by_backprop import kl_of_normals
from tests.layers.cases import place


@pytest.mark.parametrize(
    ("mean", "deviation", "prior"), [(0.0, 0.3, 1.0), (0.5, 0.1, 0.2), (-2.0, 1.5, 0.7)]
)
def test_the_kl_is_that_of_quadrature(mean: float, deviation: float, prior: float) -> None:
    q, p = stats.norm(mean, deviation), stats.norm(0, prior)
    ends = (mean - 12 * deviation, mean + 12 * deviation)
    wanted, _ = quad(lambda w: q.pdf(w) * (q.logpdf(w) - p.logpdf(w)), *ends)
    w, s = torch.tensor([mean, deviation], dtype=torch.float64)
    kl = kl_of_normals(w, s, prior)
    assert float(kl) == pytest.approx(wanted, rel=1e-8)


def test_the_kl_of_the_prior_is_0() -> None:
    assert float(kl_of_normals(torch.zeros(()), torch.tensor(0.25), 0.25)) == pytest.approx(0)


def test_the_start_by_hand() -> None:
    """P = 1/5: a quarter of the mean square, (1 + 1 + 4 + 0) / 4 = 3/2, in each run."""
    weight = torch.tensor([[1.0, -1.0], [2.0, 0.0]])
    layer = BayesByBackprop(torch.tensor([0.2, 0.2]))
    layer.setup(torch.stack([weight, 2 * weight]), "relu")
    start = torch.stack([torch.full((2, 2), 0.375**0.5), torch.full((2, 2), 1.5**0.5)])
    torch.testing.assert_close(layer.deviation(), start)


def test_the_penalty_is_the_sum_over_the_weights_of_each_run(float64: None) -> None:
    """Not of the run at p = 0; times the weight, in the midst of the warm-up."""
    at = place(runs=2)
    layer = BayesByBackprop(
        torch.tensor([0.0, 0.3]), prior_std=0.5, kl_weight=0.1, kl_warmup=(0.2, 0.6)
    )
    layer.setup(at.weight, "relu")
    found = layer.penalty(at.weight, 0.3).detach()
    assert float(found[0]) == 0
    s = layer.deviation()[1]
    kl = (torch.log(0.5 / s) + (s**2 + at.weight[1] ** 2) / 0.5 - 0.5).sum()
    torch.testing.assert_close(found[1], 0.1 * 0.25 * kl)
    assert not layer.penalty(at.weight, 0.2).any()


def test_both_masks_have_the_same_variance_for_an_example(float64: None) -> None:
    """20,000 samples of one pre-activation: within five standard errors of x^2 s^2."""
    at, n = place(batch=1), 20_000
    for mask in ("element", "batch"):
        runs = at.fleet(n) if mask == "batch" else at.one_example(n)
        p = torch.full((n,), 0.3) if mask == "batch" else 0.3
        layer = BayesByBackprop(p, mask=mask)
        layer.setup(runs.weight, "relu")
        z = layer.connect(runs.x, runs.weight, runs.bias).reshape(n, -1)
        spread = layer.deviation().reshape(-1, *at.weight.shape)[0]
        wanted = (at.x**2 @ spread**2)[0]
        error = 5 * wanted * math.sqrt(2 / n)
        assert ((z.var(dim=0) - wanted).abs() < error).all()


def test_without_data_the_posterior_becomes_the_prior() -> None:
    """Gradient descent on the KL alone: means of 0 and the deviation of the prior."""
    torch.manual_seed(0)
    linear = DropoutLinear(6, 4, BayesByBackprop(0.3, prior_std=0.2))
    optimizer = torch.optim.Adam(linear.parameters(), lr=0.02)
    for _ in range(800):
        optimizer.zero_grad()
        linear.penalty().backward()
        optimizer.step()
    torch.testing.assert_close(linear.weight, torch.zeros(4, 6), atol=1e-3, rtol=0)
    deviation = linear.dropout.deviation()
    torch.testing.assert_close(deviation, torch.full((6, 4), 0.2), rtol=0.01, atol=0)


@pytest.mark.parametrize("prior", [0.0, -1.0, math.inf, math.nan])
def test_a_prior_without_a_width_is_refused(prior: float) -> None:
    with pytest.raises(ValueError, match="prior_std"):
        BayesByBackprop(0.5, prior_std=prior)
