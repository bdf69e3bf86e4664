"""Multinomial and evolutional dropout by hand, and their counts against SciPy's distribution."""

import itertools
import math

import pytest
import torch
from scipy import stats

from dropout_lab.layers import EvolutionalDropout, MultinomialDropout
from tests.layers.cases import Extreme
from tests.recorded import Recorded, lanes


def words(*fractions: float) -> torch.Tensor:
    """Return lanes whose words of 32 bits are at these fractions: (n, 2), the high lane last."""
    high = lanes(*fractions)
    return torch.stack([torch.zeros_like(high), high], dim=-1)


def test_by_hand() -> None:
    """Four units, p = 1/2: of four draws the first k = 2 count; k/d = 1/2.

    The draws 0.1 and 0.8 fall to units 0 and 3; 0.3 and 0.26 both to unit 1.
    """
    draws = torch.stack([words(0.1, 0.8, 0.5, 0.5), words(0.3, 0.26, 0.9, 0.9)])
    y = MultinomialDropout(0.5, noise=Recorded(draws))(torch.full((2, 4), 3.0))
    assert y.tolist() == [[6.0, 0.0, 0.0, 6.0], [0.0, 12.0, 0.0, 0.0]]


def test_evolutional_by_hand() -> None:
    """Columns of root mean square 1 and 3: chances 1/4 and 3/4; p = 1/2 is one draw.

    The draw 0.2 falls to unit 0, noise 1 / (1/4); 0.3 to unit 1, noise 1 / (3/4).
    """
    x = torch.tensor([[1.0, 3.0], [-1.0, -3.0]])
    draws = torch.stack([words(0.2, 0.9), words(0.3, 0.1)])
    y = EvolutionalDropout(0.5, noise=Recorded(draws))(x)
    torch.testing.assert_close(y, torch.tensor([[4.0, 0.0], [0.0, -4.0]]))


@pytest.mark.parametrize("kind", [MultinomialDropout, EvolutionalDropout])
def test_the_counts_are_multinomial(kind: type[MultinomialDropout], float64: None) -> None:
    """Every way in which k = 3 draws fall to 3 units, each within five standard errors."""
    n, k = 20_000, 3
    x = torch.tensor([1.0, 2.0, 5.0] if kind is EvolutionalDropout else [1.0, 1.0, 1.0])
    chances = x / x.sum()
    layer = kind(0.01)  # k = round(0.99 * 3)
    counts = (layer(x.expand(n, 3)) / x * (k * chances)).round().long()
    assert (counts.sum(dim=1) == k).all()
    for outcome in itertools.product(range(k + 1), repeat=3):
        if sum(outcome) == k:
            chance = float(stats.multinomial.pmf(outcome, k, chances.numpy()))
            share = float((counts == torch.tensor(outcome)).all(dim=1).double().mean())
            assert abs(share - chance) < 5 * math.sqrt(chance * (1 - chance) / n)


@pytest.mark.parametrize(("p", "draws"), [(0.5, 5), (0.94, 1), (0.999, 1), (0.31, 7), (0.04, 10)])
def test_k_is_a_whole_number_of_at_least_1(p: float, draws: int) -> None:
    counts = MultinomialDropout(p)(torch.ones(50, 10, dtype=torch.float64)) * draws / 10
    torch.testing.assert_close(counts, counts.round())
    torch.testing.assert_close(counts.sum(dim=1), torch.full((50,), float(draws)).double())


@pytest.mark.parametrize("side", [-1, 1])
def test_a_unit_without_activity_is_never_drawn(side: int) -> None:
    """Neither the first nor the last nor one between, with the lowest and highest draws."""
    x = torch.tensor([[0.0, 2.0, 0.0, 2.0, 0.0]]).repeat(3, 1)
    y = EvolutionalDropout(0.5, noise=Extreme(side))(x)
    drawn = 1 if side < 0 else 3
    expected = torch.zeros(3, 5)
    expected[:, drawn] = 4.0  # both draws, k q = 2 / 2: 2 times 2
    torch.testing.assert_close(y, expected)


def test_a_batch_without_any_activity_stays_0() -> None:
    x = torch.zeros(3, 5, requires_grad=True)
    y = EvolutionalDropout(0.5)(x)
    assert torch.equal(y, torch.zeros(3, 5))
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient.isfinite().all()


def test_the_chances_are_those_of_each_runs_batch() -> None:
    x = torch.tensor([[[3.0, 4.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]])
    chances = EvolutionalDropout(torch.tensor([0.5, 0.5])).probabilities(x)
    torch.testing.assert_close(chances, torch.tensor([[[3 / 7, 4 / 7]], [[0.5, 0.5]]]).double())


def test_no_gradient_passes_through_the_chances(float64: None) -> None:
    """Y = x * noise, and dy/dx is that noise, which y / x shows."""
    x = (torch.rand(6, 40) + 0.5).requires_grad_()
    y = EvolutionalDropout(0.4)(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient, (y / x).detach())
    assert len(gradient.unique()) > 10


def test_evolutional_needs_a_batch_axis() -> None:
    with pytest.raises(ValueError, match="evolutional dropout needs a batch axis"):
        EvolutionalDropout(0.5)(torch.ones(5))
    with pytest.raises(ValueError, match="evolutional dropout needs a batch axis"):
        EvolutionalDropout(torch.tensor([0.5, 0.5]))(torch.ones(2, 5))
