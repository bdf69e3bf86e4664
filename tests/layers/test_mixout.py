"""Mixout by hand, as DropConnect where the initial weights are 0, and its state."""

import pytest
import torch

from dropout_lab.layers import DropConnect, DropoutLinear, MixoutDropout
from tests.layers.cases import place, seeded
from tests.recorded import Forbidden, Recorded, lanes

EYE = torch.eye(2)


def test_by_hand() -> None:
    """P = 1/2: a weight that moved from u to w becomes u, or u + 2 (w - u)."""
    layer = MixoutDropout(0.5, noise=Recorded(lanes(0.49, 0.5, 0.9, 0.1).view(2, 2)))
    layer.setup(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "relu")
    weight = torch.tensor([[2.0, 1.0], [3.5, 7.0]])
    z = layer.connect(EYE, weight, torch.tensor([[10.0, 20.0]]))
    assert z.tolist() == [[11.0, 20.0], [14.0, 24.0]]
    assert layer.eval().connect(EYE, weight, None).tolist() == weight.tolist()


def test_it_is_the_formula_of_the_paper(float64: None) -> None:
    """``(M u + (1 - M) w - p u) / (1 - p)`` with M where the initial value is taken."""
    at, initial = place(), place().weight
    layer = MixoutDropout(0.25, noise=seeded())
    layer.setup(initial, "relu")
    taken = seeded().lanes(at.weight.shape, at.weight.device) < 0.25 * 2**16 - 2**15
    mixed = (taken * initial + ~taken * at.weight - 0.25 * initial) / 0.75
    torch.testing.assert_close(layer.connect(at.x, at.weight, at.bias), at.x @ mixed + at.bias)


def test_without_initial_weights_it_is_dropconnect(float64: None) -> None:
    """With one mask for a batch; DropConnect draws another mask for the biases."""
    at = place()
    layer = MixoutDropout(0.3, noise=seeded())
    layer.setup(torch.zeros_like(at.weight), "relu")
    theirs = DropConnect(0.3, mask="batch", noise=seeded()).connect(at.x, at.weight, None)
    torch.testing.assert_close(layer.connect(at.x, at.weight, None), theirs)


def test_before_the_first_step_there_is_no_noise() -> None:
    linear = DropoutLinear(5, 3, MixoutDropout(0.5))
    x = torch.randn(6, 5)
    torch.testing.assert_close(linear(x), torch.nn.functional.linear(x, linear.weight, linear.bias))
    with torch.no_grad():
        linear.weight += 1
    assert not torch.allclose(linear(x), linear(x))


def test_the_initial_weights_stay_when_the_weights_move() -> None:
    linear = DropoutLinear(5, 3, MixoutDropout(0.5))
    before = linear.weight.detach().T.clone()
    with torch.no_grad():
        linear.weight += 1
    assert torch.equal(linear.dropout.initial, before)
    other = DropoutLinear(5, 3, MixoutDropout(0.5))
    other.load_state_dict(linear.state_dict())
    assert torch.equal(other.dropout.initial, before)


def test_without_initial_weights_it_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="put this layer into DropoutLinear"):
        MixoutDropout(0.5).connect(EYE, EYE, None)
    layer = MixoutDropout(0.5, noise=Forbidden()).eval()
    assert torch.equal(layer.connect(EYE, EYE, None), EYE)
