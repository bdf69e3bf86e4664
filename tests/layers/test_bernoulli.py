"""Inverted, standard and unscaled dropout by hand, at the edges of the lanes, against torch."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from dropout_lab.layers import InvertedDropout, StandardDropout, UnscaledDropout
from dropout_lab.layers.coins import keep_threshold, round_to_lanes
from tests.recorded import Recorded, lanes

X = torch.tensor([3.0, 3.0, 3.0, -6.0])
DRAWS = lanes(0.10, 0.20, 0.25, 0.90)  # dropped below p = 0.25, kept from there on


def test_inverted_by_hand() -> None:
    y = InvertedDropout(0.25, noise=Recorded(DRAWS))(X)
    torch.testing.assert_close(y, torch.tensor([0.0, 0.0, 4.0, -8.0]))


def test_standard_by_hand() -> None:
    layer = StandardDropout(0.25, noise=Recorded(DRAWS))
    assert layer(X).tolist() == [0.0, 0.0, 3.0, -6.0]
    assert layer.eval()(X).tolist() == [2.25, 2.25, 2.25, -4.5]


def test_unscaled_by_hand() -> None:
    layer = UnscaledDropout(0.25, noise=Recorded(DRAWS))
    assert layer(X).tolist() == [0.0, 0.0, 3.0, -6.0]
    assert layer.eval()(X).tolist() == X.tolist()


def test_ones_through_p_of_six_tenths_are_0_or_2_and_a_half() -> None:
    layer = InvertedDropout(0.6)
    height = 1 / (1 - float(layer.p))  # p is rounded to 39322 / 65536
    assert height == pytest.approx(2.5, rel=2e-5)
    assert set(layer(torch.ones(100, 100)).unique().tolist()) == {0.0, torch.tensor(height).item()}


def test_p_is_rounded_to_a_multiple_of_a_lane() -> None:
    assert float(InvertedDropout(0.1).p) == 6554 / 65536
    assert float(InvertedDropout(0.5).p) == 0.5


@pytest.mark.parametrize(("p", "realized"), [(1e-9, 1 / 65536), (1 - 1e-9, 65535 / 65536)])
def test_a_p_between_0_and_1_never_becomes_0_or_1(p: float, realized: float) -> None:
    assert float(InvertedDropout(p).p) == realized


def test_the_threshold_keeps_exactly_its_share_of_all_lanes() -> None:
    """Counted over every value a lane can have; the sign bit is the trap."""
    every_lane = torch.arange(-(2**15), 2**15).to(torch.int16)
    for dropped in (0, 1, 6554, 32767, 32768, 32769, 65535):
        p = round_to_lanes(np.array(dropped / 65536))
        threshold = keep_threshold(torch.tensor(p))
        assert int((every_lane < threshold).sum()) == dropped


def test_standard_and_inverted_are_one_network_by_the_algebra_of_scaling(float64: None) -> None:
    """W' = qW, learning rate q**2: twenty SGD steps with the same masks, to rounding.

    Srivastava et al. (2014): standard dropout masks the units; inverted divides them by q, so its
    next layer's weights are q times smaller, and their gradient q times smaller again.
    """
    q = 0.6
    standard = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), StandardDropout(1 - q), nn.Linear(8, 3))
    inverted = copy.deepcopy(standard)
    inverted[2] = InvertedDropout(1 - q)
    q = 1 - float(inverted[2].p)
    inverted[3].weight.data *= q
    rate = 0.1
    for step in range(20):
        x, labels = torch.randn(10, 6), torch.randint(0, 3, (10,))
        for net, rate_above in ((standard, rate), (inverted, rate * q**2)):
            torch.manual_seed(step)
            net.zero_grad()
            nn.functional.cross_entropy(net(x), labels).backward()
            for name, parameter in net.named_parameters():
                own = rate_above if name == "3.weight" else rate
                parameter.data -= own * parameter.grad
    x = torch.randn(50, 6)
    difference = (standard.eval()(x) - inverted.eval()(x)).detach().abs().max()
    assert float(difference) < 1e-10


def test_inverted_does_what_torchs_dropout_does() -> None:
    """Given torch's own mask, the same output and gradient; the draws differ, the function not."""
    x = torch.randn(40, 30, requires_grad=True)
    theirs = nn.Dropout(0.25)(x)
    kept = theirs != 0
    draws = torch.where(kept, torch.tensor(2**15 - 1), torch.tensor(-(2**15))).to(torch.int16)
    ours = InvertedDropout(0.25, noise=Recorded(draws))(x)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    slope = torch.randn_like(x)
    (expected,) = torch.autograd.grad(theirs, x, slope)
    (gradient,) = torch.autograd.grad(ours, x, slope)
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=0)


def test_per_example_gradients_average_to_the_batch_gradient(float64: None) -> None:
    """The dropout + linear 10 -> 5 of the textbooks, p = 0.9, five examples."""
    out = InvertedDropout(0.9)(torch.ones(5, 10))
    linear, target = nn.Linear(10, 5), torch.tensor([0, 4, 2, 1, 4])
    total = torch.zeros_like(linear.weight)
    for example in range(5):
        loss = nn.functional.cross_entropy(
            linear(out[example : example + 1]), target[example : example + 1]
        )
        total += torch.autograd.grad(loss, linear.weight)[0]
    loss = nn.functional.cross_entropy(linear(out), target)
    (batch,) = torch.autograd.grad(loss, linear.weight)
    torch.testing.assert_close(total / 5, batch, rtol=1e-12, atol=1e-15)
    never_kept = (out == 0).all(dim=0)
    assert never_kept.any()
    assert torch.equal(batch[:, never_kept], torch.zeros(5, int(never_kept.sum())))


def test_a_unit_dropped_for_every_example_gets_exactly_zero_gradient() -> None:
    draws = torch.full((15, 10), 2**15 - 1, dtype=torch.int16)
    draws[:, 3] = -(2**15)
    first, layer, second = (
        nn.Linear(5, 10),
        InvertedDropout(0.5, noise=Recorded(draws)),
        nn.Linear(10, 1),
    )
    second(layer(torch.tanh(first(torch.randn(15, 5))))).square().mean().backward()
    assert first.weight.grad is not None
    assert second.weight.grad is not None
    assert torch.equal(first.weight.grad[3], torch.zeros(5))
    assert torch.equal(second.weight.grad[:, 3], torch.zeros(1))
    assert (first.weight.grad[[0, 1, 2, 4]] != 0).all()
