"""Fast dropout by hand, by quadrature, and against the sampling that it stands for."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit
from torch import Tensor

from dropout_lab.layers import FastDropout, GaussianDropConnect, InvertedDropout
from tests.layers.cases import Extreme, place

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "linear": lambda z: z,
}
# How far the formula may be from the mean under exactly normal noise; 0 where it is exact. The
# logistic one is known to be good to 0.02; tanh(z) = 2 logistic(2z) - 1 doubles that.
ERRORS = {"relu": 0.0, "logistic": 0.02, "tanh": 0.04, "linear": 0.0}


def connected(activation: str, x: Tensor, weight: Tensor, bias: Tensor, p: float = 0.5) -> Tensor:
    return FastDropout(p, activation=activation).connect(x, weight, bias)


def test_by_hand(float64: None) -> None:
    """P = 4/5, p/q = 4, x = (1.5, 2), w = 1/5: mean 0.7 + 0.3 = 1, variance 4 * 6.25 / 25 = 1.

    ReLU: Phi(1) + phi(1) = 0.8413447 + 0.2419707; logistic 1 / sqrt(1 + pi/8) = 0.8473666; tanh
    1 / sqrt(1 + pi/2) = 0.6236862. Before the softmax as logistic.
    """
    x, weight, bias = torch.tensor([[1.5, 2.0]]), torch.full((2, 1), 0.2), torch.tensor([[0.3]])
    expected = {
        "relu": 1.0833155, "logistic": 0.8473666, "softmax": 0.8473666, "tanh": 0.6236862,
        "linear": 1.0,
    }  # fmt: skip
    for activation, z in expected.items():
        assert float(connected(activation, x, weight, bias, p=0.8)) == pytest.approx(z, abs=5e-7)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_mean_activation_under_normal_noise(activation: str, float64: None) -> None:
    """By quadrature over the normal distribution, at many means and deviations."""
    function = {"relu": lambda z: max(z, 0.0), "logistic": expit, "tanh": np.tanh}
    exact = function.get(activation, lambda z: z)
    for mean in (-2.0, -0.5, 0.0, 1.0, 3.0):
        for deviation in (0.1, 1.0, 3.0):

            def integrand(e: float, m: float = mean, s: float = deviation) -> float:
                return float(exact(m + s * e)) * math.exp(-0.5 * e * e) / math.sqrt(2 * math.pi)

            wanted = quad(integrand, -12, 12, points=[max(min(-mean / deviation, 12), -12)])[0]
            x, weight = torch.ones(1, 1), torch.full((1, 1), deviation)
            z = connected(activation, x, weight, torch.full((1, 1), mean - deviation))
            found = float(ACTIVATIONS[activation](z))
            assert found == pytest.approx(wanted, abs=ERRORS[activation] + 1e-8)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_it_stands_for_the_sampling_of_inverted_dropout(activation: str, float64: None) -> None:
    """Of 400 units at p = 1/2, whose sum has no skew; within five standard errors of 20,000."""
    x = torch.rand(1, 400) + 0.5
    weight, n = torch.randn(400, 3) / 20, 20_000
    bias = torch.tensor([[-1.0, 0.0, 1.0]])
    mean = ACTIVATIONS[activation](connected(activation, x, weight, bias))[0]
    for sampling in (InvertedDropout(0.5), GaussianDropConnect(0.5)):
        sampled = ACTIVATIONS[activation](sampling.connect(x.expand(n, -1), weight, bias))
        error = 5 * sampled.std(dim=0) / math.sqrt(n) + ERRORS[activation]
        assert ((sampled.mean(dim=0) - mean).abs() < error).all()


@pytest.mark.parametrize("activation", [*ACTIVATIONS, "softmax"])
def test_p_zero_is_the_linear_map_for_each_activation(activation: str) -> None:
    at = place()
    z = connected(activation, at.x, at.weight, at.bias, p=0.0)
    plain = FastDropout(0.0, activation="linear").connect(at.x, at.weight, at.bias)
    assert torch.equal(z, plain)


def test_mask_and_noise_have_no_part() -> None:
    at = place()
    z = [
        FastDropout(0.4, mask=mask, noise=Extreme(1)).connect(at.x, at.weight, at.bias)
        for mask in ("element", "batch")
    ]
    assert torch.equal(*z)


def test_a_unit_without_variance_has_finite_gradients() -> None:
    """The slope of a root is infinite at 0."""
    at = place()
    x = torch.zeros(3, 5, requires_grad=True)
    for activation in (*ACTIVATIONS, "softmax"):
        z = connected(activation, x, at.weight.requires_grad_(), at.bias)
        gradients = torch.autograd.grad(z.sum(), (x, at.weight))
        assert all(gradient.isfinite().all() for gradient in gradients)


def test_what_comes_next_is_told_at_the_beginning() -> None:
    at = place()
    layer = FastDropout(0.5)
    layer.setup(at.weight, "tanh")
    z = layer.connect(at.x, at.weight, at.bias)
    assert torch.equal(z, connected("tanh", at.x, at.weight, at.bias))
    assert not torch.equal(z, connected("relu", at.x, at.weight, at.bias))


def test_an_activation_without_a_formula_is_refused() -> None:
    message = "activation is 'selu'; fast dropout knows relu, logistic, tanh, linear, softmax"
    with pytest.raises(ValueError, match=message):
        FastDropout(0.5, activation="selu")
    with pytest.raises(ValueError, match="fast dropout knows"):
        FastDropout(0.5).setup(torch.ones(2, 2), "maxout")
