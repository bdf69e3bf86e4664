"""Jumpout by hand: the rate of a batch, the share of active units, and the factor."""

import math

import pytest
import torch

from dropout_lab.layers import JumpoutDropout
from tests.layers.cases import random_rate, seeded
from tests.recorded import Recorded, lanes


def test_by_hand() -> None:
    """P = 0.2 and n = -1: a rate of 0.2. Half of the units are active: r = 0.4.

    Draws of at least 0.4 keep a unit, times 0.6^-0.75.
    """
    x = torch.tensor([[1.0, 0.0, 2.0, 0.0], [0.0, -3.0, 0.0, 4.0]])
    draws = lanes(0.39, 0.9, 0.41, 0.9, 0.9, 0.41, 0.1, 0.39).view(2, 4)
    layer = JumpoutDropout(0.2, noise=Recorded(torch.tensor([[-1.0]]), draws))
    scale = 0.6**-0.75
    wanted = torch.tensor([[0.0, 0.0, 2.0, 0.0], [0.0, -3.0, 0.0, 0.0]]) * scale
    torch.testing.assert_close(layer(x), wanted)
    assert torch.equal(layer.eval()(x), x)


def test_one_rate_for_a_batch_of_each_run() -> None:
    """Each run has its own draw and its own share of active units."""
    x = torch.ones(3, 8, 10)
    x[1, :, :5] = 0
    x[2] = 0
    normal = torch.tensor([0.5, -0.5, 0.5]).view(3, 1, 1)
    layer = JumpoutDropout(torch.tensor([0.4, 0.4, 0.4]), noise=Recorded(normal))
    assert layer.draw_rate(x).flatten().tolist() == pytest.approx([0.2, 0.4, 0.9])


def test_the_share_of_active_units_that_is_dropped_is_that_of_all() -> None:
    """A quarter is active: of 40,000 units |n| = 0.1 are active and dropped."""
    x = torch.zeros(400, 100)
    x[:, ::4] = 1
    noise = Recorded(torch.tensor([[0.5]]), seeded().lanes((400, 100), x.device))
    y = JumpoutDropout(0.2, noise=noise)(x)
    dropped = float(((x != 0) & (y == 0)).double().mean())
    assert abs(dropped - 0.1) < 5 * (0.1 * 0.9 / 40_000) ** 0.5


def test_the_rate_is_half_of_a_gaussian() -> None:
    """In 20,000 runs: mean 0.1 sqrt(2 / pi), standard deviation 0.1 sqrt(1 - 2 / pi)."""
    n = 20_000
    layer = JumpoutDropout(torch.full((n,), 0.1))
    rates = layer.draw_rate(torch.ones(n, 1, 1))
    assert rates.shape == (n, 1, 1)
    deviation = 0.1 * math.sqrt(1 - 2 / math.pi)
    error = 5 * deviation / math.sqrt(n)
    assert abs(float(rates.mean()) - 0.1 * math.sqrt(2 / math.pi)) < error
    assert float(rates.std()) == pytest.approx(deviation, rel=0.05)


def test_evaluation_is_not_the_mean_but_near_it() -> None:
    """E[(1 - r)^0.25] at p = 0.25, by quadrature: 5 % below 1."""
    assert random_rate(0.25, 0.25) == pytest.approx(0.945, abs=0.005)
    assert random_rate(0.25, 0.0) == pytest.approx(1, abs=1e-9)


def test_the_rate_passes_no_gradient() -> None:
    x = torch.rand(6, 10).add(0.5).requires_grad_()
    y = JumpoutDropout(0.5)(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient, (y / x).detach())
