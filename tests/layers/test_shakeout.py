"""Shakeout by hand, as inverted dropout at strength 0, and the slope that it gives the sign."""

import pytest
import torch

from dropout_lab.layers import InvertedDropout, ShakeoutDropout
from tests.layers.cases import place, seeded
from tests.recorded import Recorded, lanes

WEIGHT = torch.tensor([[1.0, -3.0], [-2.0, 0.5]])


def test_by_hand() -> None:
    """C = 1/2, p = 1/2: a weight w goes to -s/2, or to (w + s/4) / (1/2) = 2w + s/2.

    The first unit is reversed: -0.5 and 0.5; the second is enhanced: -4.5 and 1.5.
    """
    layer = ShakeoutDropout(0.5, strength=0.5, noise=Recorded(lanes(0.49, 0.5)[None]))
    z = layer.connect(torch.tensor([[1.0, 10.0]]), WEIGHT, torch.tensor([[100.0, 200.0]]))
    torch.testing.assert_close(z, torch.tensor([[100 - 0.5 - 45, 200 + 0.5 + 15]]))


def test_one_coin_for_all_weights_of_a_unit_of_each_example() -> None:
    """What an identity carries through are the weights themselves: of their two values, a row."""
    weight = place(units=30, outputs=20).weight
    z = ShakeoutDropout(0.4, strength=0.1).connect(torch.eye(30), weight, None)
    reversed_ = z.sign() == -weight.sign()
    torch.testing.assert_close(z[reversed_], -0.1 * weight.sign()[reversed_])
    assert torch.equal(reversed_, reversed_[:, :1].expand(30, 20))
    assert 0 < int(reversed_[:, 0].sum()) < 30


@pytest.mark.parametrize("mask", ["element", "batch"])
def test_at_strength_0_it_is_inverted_dropout(mask: str) -> None:
    at = place(batch=20, units=30)
    ours = ShakeoutDropout(0.3, strength=0.0, mask=mask, noise=seeded())
    theirs = InvertedDropout(0.3, mask=mask, noise=seeded())
    z = ours.connect(at.x, at.weight, at.bias)
    torch.testing.assert_close(z, theirs.connect(at.x, at.weight, at.bias))


def test_the_sign_has_the_slope_of_tanh(float64: None) -> None:
    """Finite differences of the formula with tanh for sign; linear in z, so the slopes agree."""
    at, strength = place(batch=6), 0.7
    layer = ShakeoutDropout(0.4, strength=strength, noise=seeded())
    weight = at.weight.clone().requires_grad_()
    z = layer.connect(at.x, weight, at.bias)
    slope = torch.randn_like(z)
    (gradient,) = torch.autograd.grad(z, weight, slope)
    kept = seeded().lanes(at.x.shape, at.x.device) >= float(layer.p) * 2**16 - 2**15
    coins = kept / (1 - float(layer.p))

    def with_tanh(w: torch.Tensor) -> float:
        return float(
            (slope * ((at.x * coins) @ w + strength * (at.x * (coins - 1)) @ w.tanh())).sum()
        )

    for row in range(5):
        for column in range(4):
            step = torch.zeros_like(at.weight)
            step[row, column] = 1e-5
            difference = (with_tanh(at.weight + step) - with_tanh(at.weight - step)) / 2e-5
            assert float(gradient[row, column]) == pytest.approx(difference, rel=1e-6, abs=1e-8)


def test_a_weight_of_0_is_neither_reversed_nor_enhanced() -> None:
    z = ShakeoutDropout(0.5, strength=3.0).connect(torch.ones(50, 4), torch.zeros(4, 2), None)
    assert not z.any()
