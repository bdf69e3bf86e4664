"""Variational dropout by hand, its KL against numerical integration, and what alpha belongs to."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from dropout_lab.layers import (
    ConcreteDropout,
    ShakeoutDropout,
    SparseVariationalDropout,
    VariationalA2Dropout,
    VariationalADropout,
    VariationalBDropout,
)
from dropout_lab.layers.variational import kl_of_alpha, warmup_factor
from tests.recorded import Recorded

KL_AT_A_THIRD = 0.5530435  # worked out in test_the_penalty_by_hand


def exact_kl(alpha: float) -> float:
    """Return KL(N(w, alpha w^2) || 1/|w|) but for a constant: E log|1 + e| - log(alpha) / 2."""
    deviation = math.sqrt(alpha)
    pole = -1 / deviation

    def integrand(z: float) -> float:
        density = math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
        return math.log(abs(1 + deviation * z)) * density

    edges = [-12.0, pole, 12.0] if pole > -12 else [-12.0, 12.0]
    parts = [quad(integrand, a, b, limit=400)[0] for a, b in itertools.pairwise(edges)]
    return float(sum(parts)) - 0.5 * math.log(alpha)


@pytest.mark.parametrize(("lowest", "error"), [(0.01, 0.032), (0.05, 0.012), (0.1, 0.006)])
def test_the_kl_is_near_the_exact_one(lowest: float, error: float) -> None:
    """The cubic is made for alpha <= 1; it is coarser where there is little noise."""
    for alpha in np.linspace(lowest, 1, 12):
        approximate = float(kl_of_alpha(torch.tensor(alpha).log()))
        assert approximate == pytest.approx(exact_kl(alpha) - exact_kl(1.0), abs=error)


def test_the_kl_is_0_at_alpha_1_and_falls_up_to_there(float64: None) -> None:
    kl = kl_of_alpha(torch.linspace(-8, 0, 200))
    assert float(kl[-1]) == 0
    assert (kl.diff() < 0).all()


def test_type_a_by_hand() -> None:
    """P = 1/5 is alpha = 1/4, deviation 1/2: x (1 + draw / 2)."""
    layer = VariationalADropout(0.2, noise=Recorded(torch.tensor([[2.0, -2.0, 1.0]])))
    y = layer(torch.tensor([[3.0, 3.0, -6.0]]))
    torch.testing.assert_close(y, torch.tensor([[6.0, 0.0, -9.0]]))


def test_an_alpha_of_each_unit_by_hand() -> None:
    """Deviations 1/2 and 1, for two examples of one draw each."""
    layer = VariationalADropout(0.2, alpha_per="unit", noise=Recorded(torch.ones(2, 2)))
    layer.setup(torch.ones(2, 7), "relu")
    with torch.no_grad():
        layer.log_alpha.copy_(torch.tensor([[0.25], [1.0]]).log())
    y = layer(torch.tensor([[4.0, 4.0], [8.0, 8.0]]))
    torch.testing.assert_close(y, torch.tensor([[6.0, 8.0], [12.0, 16.0]]))
    assert float(layer.p) == pytest.approx((0.2 + 0.5) / 2)  # alpha / (1 + alpha), the mean


def test_type_b_by_hand() -> None:
    """Alpha = 1/4, x = (3, 4), weights of 1 to one output and of 2 to the other.

    Variances (9 + 16) / 4 and four times that, deviations 2.5 and 5; the bias has no part in them.
    """
    x, weight = torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    bias = torch.tensor([[100.0, 200.0]])
    layer = VariationalBDropout(0.2, noise=Recorded(torch.tensor([[2.0, -1.0]])))
    z = layer.connect(x, weight, bias)
    torch.testing.assert_close(z, torch.tensor([[107.0 + 5, 214.0 - 5]]))
    draws = torch.tensor([[2.0, 0.0], [0.0, -2.0]])  # of the weights: times 2 and 1, 1 and 0
    layer = VariationalBDropout(0.2, mask="batch", noise=Recorded(draws))
    torch.testing.assert_close(layer.connect(x, weight, bias), torch.tensor([[110.0, 206.0]]))


@pytest.mark.parametrize(
    ("per", "shape"), [("layer", (1, 1)), ("unit", (4, 1)), ("weight", (4, 3))]
)
def test_what_has_an_alpha_of_its_own(per: str, shape: tuple[int, int]) -> None:
    """Only the noise of what shares an alpha changes with it."""
    weight, x = torch.ones(4, 3), torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    layer = VariationalBDropout(torch.tensor([0.2, 0.2]), alpha_per=per)
    layer.setup(weight.expand(2, 4, 3), "relu")
    assert layer.log_alpha.shape == (2, *shape)
    layer.noise = Recorded(torch.ones(2, 1, 3))
    with torch.no_grad():
        layer.log_alpha[0, 0, 0] = 0
    z = layer.connect(x.expand(2, 1, 4), weight.expand(2, 4, 3), None)
    expected = [2.0, 1.5, 1.5] if per == "weight" else [2.0, 2.0, 2.0]
    torch.testing.assert_close(z, torch.tensor([[expected], [[1.5, 1.5, 1.5]]]))


def test_the_penalty_by_hand() -> None:
    """P = 1/4 is alpha = 1/3.

    0.5 log(1/3) + c1/3 + c2/9 + c3/27 = -0.5493061 + 0.3871504 - 0.1668934 + 0.0217148, which is
    -0.3073343; c1 + c2 + c3 = 0.2457094; together 0.5530437. Four units, twelve weights.
    """
    weight = torch.randn(4, 3)
    made = [(VariationalADropout, 4.0), (VariationalA2Dropout, 4 / 3), (VariationalBDropout, 12.0)]
    for kind, count in made:
        for per in ("layer", "unit"):
            layer = kind(0.25, alpha_per=per)
            layer.setup(weight, "relu")
            penalty = float(layer.penalty(weight, 0.0).detach())
            assert penalty == pytest.approx(count * KL_AT_A_THIRD, rel=1e-5)


def test_the_weight_of_the_kl() -> None:
    weight = torch.randn(4, 3)
    tripled = VariationalA2Dropout(0.25, kl_weight=3.0).penalty(weight, 0.0).detach()
    assert float(tripled) == pytest.approx(4 * KL_AT_A_THIRD, rel=1e-5)
    assert float(VariationalADropout(0.25, kl_weight=0.0).penalty(weight, 0.0).detach()) == 0
    warm = VariationalBDropout(0.25, kl_warmup=(0.2, 0.6))
    assert float(warm.penalty(weight, 0.1).detach()) == 0
    assert float(warm.penalty(weight, 0.3).detach()) == pytest.approx(3 * KL_AT_A_THIRD, rel=1e-5)


@pytest.mark.parametrize(
    ("progress", "window", "factor"),
    [
        (0.0, (0.0, 0.0), 1), (0.49, (0.5, 0.5), 0), (0.5, (0.5, 0.5), 1),
        (0.1, (0.2, 0.6), 0), (0.3, (0.2, 0.6), 0.25), (0.6, (0.2, 0.6), 1), (1.0, (0.2, 0.6), 1),
    ],
)  # fmt: skip
def test_the_warm_up(progress: float, window: tuple[float, float], factor: float) -> None:
    assert warmup_factor(progress, window) == pytest.approx(factor, abs=1e-12)


def test_alpha_never_exceeds_1() -> None:
    """Neither in the noise, nor in p, nor, once constrained, in what is stored."""
    layer = VariationalADropout(0.2, noise=Recorded(torch.ones(1, 2)))
    with torch.no_grad():
        layer.log_alpha.fill_(5.0)
    assert layer(torch.ones(1, 2)).tolist() == [[2.0, 2.0]]
    assert float(layer.p) == 0.5
    assert float(layer.penalty(torch.ones(2, 2), 1.0).detach()) == pytest.approx(0, abs=1e-6)
    layer.constrain()
    assert float(layer.log_alpha.detach()) == 0


def test_an_alpha_of_each_weight_is_refused_for_noise_on_units() -> None:
    with pytest.raises(ValueError, match="alpha_per is 'weight'; it must be one of layer, unit"):
        VariationalADropout(0.2, alpha_per="weight")


def test_p_above_one_half_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match=r"p is 0.6; .* at most 1, .* Give at most 0.5"):
        VariationalBDropout(0.6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: VariationalBDropout(0.2, alpha_per="units"),
        lambda: VariationalADropout(0.2, kl_weight=-1.0),
        lambda: VariationalADropout(0.2, kl_warmup=(0.5, 0.1)),
        lambda: SparseVariationalDropout(0.2, kl_weight=math.nan),
        lambda: SparseVariationalDropout(0.2, kl_warmup=(0.0, 2.0)),
        lambda: ConcreteDropout(0.2, length_scale=-1.0),
        lambda: ShakeoutDropout(0.2, strength=math.inf),
    ],
)
def test_arguments_outside_their_range_are_refused(make) -> None:
    with pytest.raises(ValueError, match=r"alpha_per is|must be a number of at least 0|rising"):
        make()


@pytest.mark.parametrize(
    "layer",
    [
        VariationalADropout(0.2, alpha_per="unit"),
        VariationalBDropout(0.2, alpha_per="weight"),
        SparseVariationalDropout(0.2),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_what_needs_setup_says_so(layer) -> None:
    with pytest.raises(ValueError, match=r"put it into DropoutLinear\(in, out, layer\)"):
        layer.connect(torch.ones(2, 3), torch.ones(3, 2), None)
