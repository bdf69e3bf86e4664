"""Gaussian noise on weights by hand; drawing pre-activations against drawing weights."""

import math

import pytest
import torch
from scipy import stats

from dropout_lab.layers import GaussianDropConnect
from tests.layers.cases import place
from tests.recorded import Recorded


def test_by_hand() -> None:
    """P = 1/5 is variance 1/4. X = (3, 4), weights 1 and 2: variances 25/4 and 25; bias aside."""
    x, weight = torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    layer = GaussianDropConnect(0.2, noise=Recorded(torch.tensor([[2.0, -1.0]])))
    z = layer.connect(x, weight, torch.tensor([[100.0, 200.0]]))
    torch.testing.assert_close(z, torch.tensor([[107.0 + 5, 214.0 - 5]]))


def test_one_draw_of_the_weights_for_a_batch_by_hand() -> None:
    """Weights times 1 + draw / 2: [[2, 2], [1, 0]]."""
    draws = torch.tensor([[2.0, 0.0], [0.0, -2.0]])
    layer = GaussianDropConnect(0.2, mask="batch", noise=Recorded(draws))
    z = layer.connect(torch.tensor([[3.0, 4.0], [1.0, 0.0]]), _WEIGHT, None)
    torch.testing.assert_close(z, torch.tensor([[10.0, 6.0], [2.0, 2.0]]))


_WEIGHT = torch.tensor([[1.0, 2.0], [1.0, 2.0]])


def test_drawing_pre_activations_is_drawing_weights_for_each_example(float64: None) -> None:
    """Both normal with the same mean and variance, and independent of each other over outputs.

    The weights are drawn here, one matrix for each of 20,000 examples, as the definition has it.
    """
    at, n, p = place(batch=1, outputs=3), 20_000, 0.4
    drawn = GaussianDropConnect(p).connect(at.x.expand(n, -1), at.weight, at.bias)
    weights = at.weight * (1 + math.sqrt(p / (1 - p)) * torch.randn(n, *at.weight.shape))
    defined = (at.x @ weights)[:, 0] + at.bias
    for ours, theirs in zip(drawn.T, defined.T, strict=True):
        assert stats.ks_2samp(ours.numpy(), theirs.numpy()).pvalue > 1e-4
    off_diagonal = torch.corrcoef(drawn.T)[~torch.eye(3, dtype=torch.bool)]
    assert float(off_diagonal.abs().max()) < 5 / math.sqrt(n)


def test_the_shared_weights_of_a_batch_correlate_its_examples(float64: None) -> None:
    """Cov[z_a, z_b] = alpha sum of x_a x_b w^2, over 5,000 runs; none with mask element."""
    at, n, p = place(batch=2, outputs=1), 5_000, 0.4
    covariance = p / (1 - p) * (at.x[0] * at.x[1] * at.weight[:, 0] ** 2).sum()
    for mask, expected in (("batch", float(covariance)), ("element", 0.0)):
        fleet = at.fleet(n)
        layer = GaussianDropConnect(torch.full((n,), p), mask=mask)
        z = layer.connect(fleet.x, fleet.weight, fleet.bias)[..., 0]  # (runs, examples)
        products = (z - (at.x @ at.weight + at.bias)[:, 0]).prod(dim=1)
        assert abs(float(products.mean()) - expected) < 5 * float(products.std()) / math.sqrt(n)


def test_zero_weights_and_zero_units_carry_no_noise() -> None:
    """And finite gradients, though the slope of a root is infinite at 0."""
    at = place()
    for x, weight in ((torch.zeros(3, 5), at.weight), (at.x, torch.zeros(5, 4))):
        z = GaussianDropConnect(0.5).connect(x.requires_grad_(), weight.requires_grad_(), at.bias)
        torch.testing.assert_close(z, at.bias.expand(3, 4), rtol=0, atol=1e-5)
        gradients = torch.autograd.grad(z.sum(), (x, weight))
        assert all(gradient.isfinite().all() for gradient in gradients)


def test_units_alone_are_refused() -> None:
    with pytest.raises(TypeError, match="not on units alone"):
        GaussianDropConnect(0.5)(torch.ones(2, 3))
