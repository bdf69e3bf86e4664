"""Nested dropout by hand, its geometric distribution, and its extremes."""

import pytest
import torch

from dropout_lab.layers import NestedDropout
from tests.layers.test_multinomial import words
from tests.recorded import Recorded

X = torch.tensor([[1.0, 2.0, 3.0]]).expand(3, 3)


def test_by_hand() -> None:
    """Three units at p = 1/2: kept with probability 1, 1/2 and 1/4.

    A unit is kept where the draw is at least 0, 1/2 and 3/4: two, three and one of them are.
    """
    layer = NestedDropout(0.5, noise=Recorded(words(0.6, 0.8, 0.4)))
    assert layer(X).tolist() == [[1, 2, 0], [1, 2, 3], [1, 0, 0]]
    torch.testing.assert_close(layer.eval()(X[0]), torch.tensor([1.0, 1.0, 0.75]))


def test_the_number_of_kept_units_is_geometric() -> None:
    """20,000 examples of 7 units at p = 0.3: each within five standard errors.

    The success probability is 1 - 0.7^(2/6), and what exceeds 7 counts as 7.
    """
    n, stay = 20_000, 0.7 ** (1 / 3)
    kept = (NestedDropout(0.3)(torch.ones(n, 7)) > 0).sum(dim=1)
    for count in range(1, 8):
        chance = stay ** (count - 1) * (1 - stay if count < 7 else 1)
        share = float((kept == count).double().mean())
        assert abs(share - chance) < 5 * (chance * (1 - chance) / n) ** 0.5


def test_the_kept_units_are_the_first() -> None:
    kept = NestedDropout(0.6)(torch.ones(500, 20)) > 0
    assert (kept[:, :-1] | ~kept[:, 1:]).all()
    assert len(kept.sum(dim=1).unique()) > 5


@pytest.mark.parametrize("units", [1, 2, 7, 512])
@pytest.mark.parametrize("p", [0.0, 0.3, 0.9])
def test_the_geometric_mean_of_the_keep_probabilities_is_1_minus_p(units: int, p: float) -> None:
    keep = NestedDropout(p).keep_probability(torch.ones(units))
    assert float(keep[0]) == 1
    mean = float(keep.log().mean().exp())
    assert mean == pytest.approx(1.0 if units == 1 else 1 - p, rel=1e-12)


def test_at_p_1_the_first_unit_is_left() -> None:
    layer = NestedDropout(1.0)
    for y in (layer(torch.ones(50, 4)), layer.eval()(torch.ones(50, 4))):
        assert torch.equal(y, torch.tensor([[1.0, 0, 0, 0]]).expand(50, 4))


def test_no_gradient_reaches_the_units_beyond_b() -> None:
    x = torch.ones(30, 6, requires_grad=True)
    y = NestedDropout(0.5)(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, y.detach())
