"""Targeted dropout: who is a candidate, by hand, and that nobody else is ever dropped."""

import pytest
import torch

from dropout_lab.layers import TargetedUnitDropout, TargetedWeightDropout, UnitInputs
from tests.layers.cases import Extreme, place
from tests.recorded import Forbidden

KINDS = [TargetedUnitDropout, TargetedWeightDropout]
kinds = pytest.mark.parametrize("kind", KINDS)


def test_the_units_with_the_smallest_incoming_norm() -> None:
    """Columns of norm 5, sqrt 2, 3 and sqrt 13; half of four units are the second and third."""
    entering = torch.tensor([[3.0, 1.0, 0.0, 2.0], [-4.0, 1.0, 3.0, 3.0]])
    candidates = TargetedUnitDropout(0.5, share=0.5).candidates(entering)
    assert candidates.tolist() == [[False, True, True, False]]
    fleet = TargetedUnitDropout(0.5, share=0.25).candidates(torch.stack([entering, 1 / entering]))
    assert fleet.tolist() == [[[False, True, False, False]], [[True, False, False, False]]]


def test_the_smallest_weights_of_each_output_unit() -> None:
    """Of each column of four the two smallest in size, whatever their sign."""
    weight = torch.tensor([[1.0, -5.0], [-2.0, 0.1], [3.0, 0.2], [-4.0, 6.0]])
    layer = TargetedWeightDropout(0.5, share=0.5)
    wanted = [[True, False], [True, True], [False, True], [False, False]]
    assert layer.candidates(weight).tolist() == wanted
    assert layer.candidates(weight.expand(3, 4, 2)).tolist() == [wanted] * 3


@pytest.mark.parametrize(
    ("share", "of", "count"), [(0.29, 100, 29), (0.5, 5, 2), (0.1, 9, 0), (1.0, 7, 7), (0.7, 10, 7)]
)
def test_the_share_is_rounded_down_as_its_decimals_say(share: float, of: int, count: int) -> None:
    """0.29 * 100 is 28.999999999999996 in binary, and is meant to be 29."""
    units = TargetedUnitDropout(0.5, share=share).candidates(torch.randn(4, of))
    weights = TargetedWeightDropout(0.5, share=share).candidates(torch.randn(of, 3))
    assert int(units.sum()) == count
    assert weights.sum(dim=0).tolist() == [count] * 3


@kinds
def test_p_one_drops_the_candidates_and_nothing_else(kind) -> None:
    """Whatever is drawn, as pruned evaluation does, which draws nothing."""
    at = place(units=9)
    pruned = kind(1.0, share=0.5, noise=Forbidden()).eval()
    pruned.pruned = True
    expected = pruned.connect(at.x, at.weight, at.bias, at.entering)
    candidates = pruned.candidates(at.entering.weight if kind is TargetedUnitDropout else at.weight)
    if kind is TargetedUnitDropout:
        plain = (at.x * ~candidates) @ at.weight + at.bias
    else:
        plain = at.x @ (at.weight * ~candidates) + at.bias
    torch.testing.assert_close(expected, plain)
    for side in (-1, 1):
        layer = kind(1.0, share=0.5, noise=Extreme(side))
        z = layer.connect(at.x, at.weight, at.bias, at.entering)
        assert torch.equal(z, expected)


@kinds
def test_the_lowest_draws_drop_every_candidate_and_the_highest_none(kind) -> None:
    at = place(units=9)
    plain = at.x @ at.weight + at.bias
    pruned = kind(0.3, share=0.5).eval()
    pruned.pruned = True
    low = kind(0.3, share=0.5, noise=Extreme(-1))
    high = kind(0.3, share=0.5, noise=Extreme(1))
    lowest, highest, without = (
        layer.connect(at.x, at.weight, at.bias, at.entering) for layer in (low, high, pruned)
    )
    assert torch.equal(lowest, without)
    torch.testing.assert_close(highest, plain)
    assert not torch.allclose(lowest, plain)


@kinds
def test_without_candidates_nothing_is_dropped_or_pruned(kind) -> None:
    at = place(units=9)
    layer = kind(1.0, share=0.1)
    plain = at.x @ at.weight + at.bias
    torch.testing.assert_close(layer.connect(at.x, at.weight, at.bias, at.entering), plain)
    layer.eval().pruned = True
    torch.testing.assert_close(layer.connect(at.x, at.weight, at.bias, at.entering), plain)
    assert float(layer.sparsity(at.weight)) == 0


@kinds
def test_the_sparsity_is_the_share_that_pruning_takes(kind) -> None:
    at = place(runs=2, units=9, outputs=6)
    layer = kind(0.5, share=0.5)
    torch.testing.assert_close(layer.sparsity(at.weight).double(), torch.full((2,), 4 / 9).double())


def test_the_ranking_passes_no_gradient() -> None:
    entering = torch.randn(4, 5, requires_grad=True)
    at = place()
    layer = TargetedUnitDropout(0.5, share=0.5)
    weight = at.weight.requires_grad_()
    z = layer.connect(at.x, weight, at.bias, UnitInputs(entering, at.x))
    assert torch.autograd.grad(z.sum(), [weight, entering], allow_unused=True)[1] is None


def test_units_need_what_enters_them_unless_nothing_is_left_out() -> None:
    at = place()
    layer = TargetedUnitDropout(0.5, share=0.5)
    with pytest.raises(ValueError, match="pass entering"):
        layer.connect(at.x, at.weight, at.bias)
    plain = layer.eval().connect(at.x, at.weight, at.bias)
    torch.testing.assert_close(plain, at.x @ at.weight + at.bias)
    layer.pruned = True
    with pytest.raises(ValueError, match="pass entering"):
        layer.connect(at.x, at.weight, at.bias)


@kinds
@pytest.mark.parametrize("share", [0.0, -0.5, 1.5, float("nan")])
def test_a_share_outside_its_range_is_refused(kind, share: float) -> None:
    with pytest.raises(ValueError, match=r"the share of candidates lies in \(0, 1\]"):
        kind(0.5, share=share)


@kinds
def test_units_alone_are_refused(kind) -> None:
    with pytest.raises(TypeError, match="not on units alone"):
        kind(0.5, share=0.5)(torch.ones(2, 3))
