"""DropConnect by hand, against a plain loop, its laws, and as a layer in anybody's model."""

import math

import pytest
import torch
from torch import nn

from dropout_lab.layers import DropConnect, DropoutLinear, InvertedDropout, Mask
from dropout_lab.rng import FleetNoise, TorchNoise
from tests.recorded import Forbidden, Recorded, lanes

CPU = torch.device("cpu")
masks = pytest.mark.parametrize("mask", ["element", "batch"])


def test_by_hand_on_a_2_by_3_matrix() -> None:
    """X = [1, 10]; W = [[1, 2, 3], [4, 5, 6]] with 3 and 4 dropped; the middle bias dropped."""
    weight = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    bias = torch.tensor([[0.5, 0.5, 0.5]])
    weight_draws = lanes(0.9, 0.9, 0.1, 0.1, 0.9, 0.9).view(2, 3)
    bias_draws = lanes(0.9, 0.1, 0.9).view(1, 3)
    layer = DropConnect(0.5, mask="batch", noise=_ByShape(weight_draws, bias_draws))
    z = layer.connect(torch.tensor([[1.0, 10.0]]), weight, bias)
    # kept weights and biases count twice: [1, 2 + 50, 60] * 2 + [1, 0, 1]
    torch.testing.assert_close(z, torch.tensor([[3.0, 104.0, 121.0]]))


class _ByShape:
    """Hands out draws by the shape that is asked for."""

    def __init__(self, *draws: torch.Tensor) -> None:
        self.draws = {tuple(draw.shape): draw for draw in draws}

    def lanes(self, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
        return self.draws[tuple(shape)]

    def normal(self, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
        raise AssertionError("DropConnect draws no normal noise")


def test_a_mask_per_example_against_a_plain_loop(float64: None) -> None:
    """Forward and backward; the draws are one weight mask for each example, then the biases'."""
    p, batch = 0.25, 4
    x, weight = torch.randn(batch, 5, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    bias = torch.randn(1, 3, requires_grad=True)
    draws = [TorchNoise().lanes((5, 3), CPU) for _ in range(batch)]
    bias_draws = TorchNoise().lanes((batch, 3), CPU)
    z = DropConnect(p, noise=Recorded(*draws, bias_draws)).connect(x, weight, bias)

    threshold = p * 2**16 - 2**15
    rows = []
    for example in range(batch):
        kept = (draws[example] >= threshold) / (1 - p)
        kept_bias = (bias_draws[example] >= threshold) / (1 - p)
        rows.append(x[example] @ (weight * kept) + bias[0] * kept_bias)
    expected = torch.stack(rows)
    torch.testing.assert_close(z, expected, rtol=1e-13, atol=1e-13)
    slope = torch.randn_like(z)
    ours = torch.autograd.grad(z, (x, weight, bias), slope)
    theirs = torch.autograd.grad(expected, (x, weight, bias), slope)
    for gradient, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-12, atol=1e-12)


@masks
def test_the_gradient_against_finite_differences(mask: Mask, float64: None) -> None:
    def connect(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(3)
        layer = DropConnect(torch.tensor([0.2, 0.6]), mask=mask, noise=TorchNoise(generator))
        return layer.connect(x, weight, bias).sin()

    inputs = [torch.randn(shape, requires_grad=True) for shape in ((2, 3, 4), (2, 4, 2), (2, 1, 2))]
    assert torch.autograd.gradcheck(connect, inputs)


@masks
def test_mean_and_variance_of_the_pre_activation(mask: Mask) -> None:
    """E[z] = Wx + b; Var[z] = p / q * (sum of (w x)^2 + b^2). Within five standard errors."""
    n, p = 4_000, 0.4
    x, weight, bias = (
        torch.randn(1, 6).double(),
        torch.randn(6, 1).double(),
        torch.randn(1, 1).double(),
    )
    layer = DropConnect(p, mask=mask)
    q = 1 - float(layer.p)
    if mask == "element":
        z = layer.connect(x.expand(n, -1), weight, bias)
    else:
        z = torch.cat([layer.connect(x, weight, bias) for _ in range(n)])
    terms = torch.cat([x.flatten() * weight.flatten(), bias.flatten()])
    variance = float((1 - q) / q * terms.square().sum())
    assert abs(float(z.mean() - terms.sum())) < 5 * math.sqrt(variance / n)
    centred = (z - z.mean()).square()
    assert abs(float(centred.mean()) - variance) < 5 * float(centred.std()) / math.sqrt(n)


@masks
def test_evaluation_is_the_mean_and_draws_nothing(mask: Mask) -> None:
    layer = DropConnect(0.5, mask=mask, noise=Forbidden()).eval()
    x, weight, bias = torch.randn(7, 4), torch.randn(4, 3), torch.randn(1, 3)
    torch.testing.assert_close(layer.connect(x, weight, bias), x @ weight + bias)


@masks
def test_p_one_gives_zero_and_finite_gradients(mask: Mask) -> None:
    x, weight, bias = (torch.randn(s, requires_grad=True) for s in ((7, 4), (4, 3), (1, 3)))
    z = DropConnect(1.0, mask=mask).connect(x, weight, bias)
    assert torch.equal(z, torch.zeros(7, 3))
    for gradient in torch.autograd.grad(z.sum(), (x, weight, bias)):
        assert torch.equal(gradient, torch.zeros_like(gradient))


@masks
def test_p_zero_is_the_linear_map(mask: Mask) -> None:
    x, weight, bias = torch.randn(2, 7, 4), torch.randn(2, 4, 3), torch.randn(2, 1, 3)
    z = DropConnect(0.0, mask=mask).connect(x, weight, bias)
    torch.testing.assert_close(z, x @ weight + bias)


def test_masks_of_two_examples_differ_only_with_mask_element() -> None:
    x, weight = torch.ones(2, 50), torch.randn(50, 20)
    own = DropConnect(0.5, mask="element").connect(x, weight, None)
    shared = DropConnect(0.5, mask="batch").connect(x, weight, None)
    assert not torch.equal(own[0], own[1])
    assert torch.equal(shared[0], shared[1])


@masks
def test_a_run_in_a_fleet_has_its_own_draws(mask: Mask, float64: None) -> None:
    x, weight, bias = torch.randn(2, 3, 4), torch.randn(2, 4, 5), torch.randn(2, 1, 5)
    together, alone = (FleetNoise(s, place=0, device=CPU) for s in ((1, 2), (2,)))
    together.open(1)
    alone.open(1)
    p = torch.tensor([0.3, 0.6])
    fleet = DropConnect(p, mask=mask, noise=together).connect(x, weight, bias)
    single = DropConnect(p[1:], mask=mask, noise=alone).connect(x[1:], weight[1:], bias[1:])
    torch.testing.assert_close(fleet[1], single[0], rtol=1e-13, atol=1e-13)


def test_dropping_whole_rows_is_dropout_of_units(float64: None) -> None:
    """Dropout at a place zeroes the rows of the weights that leave the dropped units."""
    x, weight = torch.randn(1, 6), torch.randn(6, 4)
    draws = TorchNoise().lanes((1, 6), CPU)
    units = InvertedDropout(0.5, noise=Recorded(draws)).connect(x, weight, None)
    rows = draws.T.expand(6, 4).contiguous()
    weights = DropConnect(0.5, mask="batch", noise=Recorded(rows)).connect(x, weight, None)
    torch.testing.assert_close(weights, units, rtol=1e-13, atol=1e-13)


@masks
@pytest.mark.parametrize("bias", [True, False])
def test_linear_layer_in_a_plain_model(mask: Mask, bias: bool) -> None:
    theirs = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(0.5), nn.Linear(3, 2, bias=bias))
    ours = nn.Sequential(
        nn.Linear(4, 3),
        nn.ReLU(),
        nn.Identity(),
        DropoutLinear(3, 2, DropConnect(0.5, mask=mask), bias=bias),
    )
    ours.load_state_dict(theirs.state_dict())
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    x = torch.randn(6, 4)
    assert not torch.equal(ours(x), ours(x))
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_units_alone_are_refused() -> None:
    with pytest.raises(TypeError, match="not on units alone"):
        DropConnect(0.5)(torch.ones(2, 3))
