"""Guided dropout by hand, its candidates, and the gradient of the strengths."""

import pytest
import torch

from dropout_lab.layers import GuidedDropout, InvertedDropout
from tests.layers.cases import seeded
from tests.recorded import Recorded, lanes

STRENGTH = torch.tensor([[0.5, -2.0, 1.0, 1.5]])


def with_strengths(p: float, strength: torch.Tensor = STRENGTH, **options: object) -> GuidedDropout:
    layer = GuidedDropout(p, **options)
    layer.setup(torch.ones(strength.shape[-1], 3), "relu")
    with torch.no_grad():
        layer.strength.copy_(strength)
    return layer


def test_by_hand() -> None:
    """Of four strengths the two largest are those of -2 and 1.5: only these units are dropped."""
    layer = with_strengths(0.5, noise=Recorded(lanes(0.1, 0.1, 0.1, 0.6)[None]))
    x = torch.tensor([[10.0, 20.0, 30.0, 40.0]])
    assert layer(x).tolist() == [[5.0, 0.0, 30.0, 120.0]]
    assert layer.eval()(x).tolist() == [[5.0, -40.0, 30.0, 60.0]]


@pytest.mark.parametrize(("share", "wanted"), [(0.01, 1), (0.25, 1), (0.5, 2), (0.7, 3), (1.0, 4)])
def test_the_share_of_the_candidates(share: float, wanted: int) -> None:
    layer = with_strengths(0.5, share=share)
    assert int(layer.candidates(layer.strength).sum()) == wanted


def test_equal_strengths_are_all_candidates() -> None:
    layer = with_strengths(0.5, torch.tensor([[1.0, 3.0, 1.0, 0.5]]), share=0.5)
    assert layer.candidates(layer.strength).tolist() == [[True, True, True, False]]


def test_at_the_start_it_is_inverted_dropout() -> None:
    x = torch.randn(30, 20)
    theirs = InvertedDropout(0.3, noise=seeded())(x)
    torch.testing.assert_close(GuidedDropout(0.3, noise=seeded())(x), theirs)
    assert torch.equal(GuidedDropout(0.3).eval()(x), x)


def test_each_run_has_its_own_candidates() -> None:
    layer = GuidedDropout(torch.tensor([0.4, 0.4]), share=0.5)
    layer.setup(torch.ones(2, 4, 3), "relu")
    with torch.no_grad():
        layer.strength.copy_(torch.stack([STRENGTH, -STRENGTH.flip(-1)]))
    chosen = layer.candidates(layer.strength)
    assert chosen[0].tolist() == [[False, True, False, True]]
    assert chosen[1].tolist() == [[True, False, True, False]]


def test_the_gradient_of_a_strength_is_what_its_unit_passes_on(float64: None) -> None:
    """Dy/dt = x m: 0 for a dropped unit, x / (1 - p) for a kept candidate, x for the others."""
    layer = with_strengths(0.5, STRENGTH.double(), noise=Recorded(lanes(0.1, 0.1, 0.1, 0.6)[None]))
    x = torch.tensor([[10.0, 20.0, 30.0, 40.0]])
    (gradient,) = torch.autograd.grad(layer(x).sum(), layer.strength)
    assert gradient.tolist() == [[10.0, 0.0, 30.0, 80.0]]


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share is"):
        GuidedDropout(0.5, share=share)
