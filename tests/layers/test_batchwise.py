"""Batchwise dropout by hand, what it keeps, and its submatrices against masks on whole ones."""

import itertools

import pytest
import torch
from torch import Tensor

from dropout_lab.layers import BatchwiseDropout
from tests.layers.cases import Recording, place, seeded
from tests.layers.test_multinomial import words
from tests.recorded import Forbidden, Recorded

X = torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])


def test_by_hand() -> None:
    """Four units, p = 1/2: the two with the lowest draws are kept, times 4 / 2."""
    layer = BatchwiseDropout(0.5, noise=Recorded(words(0.9, 0.1, 0.5, 0.2)))
    assert layer(X).tolist() == [[0.0, 4.0, 0.0, 8.0], [0.0, 12.0, 0.0, 16.0]]
    layer.noise = Recorded(words(0.9, 0.1, 0.5, 0.2))
    z = layer.connect(X, torch.tensor([[1.0], [10.0], [100.0], [1000.0]]), torch.tensor([[0.5]]))
    assert z.tolist() == [[40 + 8000 + 0.5], [120 + 16000 + 0.5]]


@pytest.mark.parametrize(("p", "kept"), [(0.1, 9), (0.5, 5), (0.74, 3), (0.99, 1)])
def test_exactly_k_units_are_kept_for_the_whole_batch(p: float, kept: int) -> None:
    for _ in range(20):
        y = BatchwiseDropout(p)(torch.ones(6, 10))
        assert int((y[0] > 0).sum()) == kept
        torch.testing.assert_close(y[0][y[0] > 0], torch.full((kept,), 10 / kept))
        assert torch.equal(y, y[:1].expand(6, 10))


def test_every_choice_of_k_units_is_as_likely() -> None:
    """Ten pairs of five units, 20,000 runs: each within five standard errors of 1/10."""
    n = 20_000
    layer = BatchwiseDropout(torch.full((n,), 0.6))
    kept = layer(torch.ones(n, 1, 5))[:, 0] > 0
    for pair in itertools.combinations(range(5), 2):
        share = float((kept[:, pair[0]] & kept[:, pair[1]]).double().mean())
        assert abs(share - 0.1) < 5 * (0.1 * 0.9 / n) ** 0.5


def test_p_is_rounded_once_the_units_are_known() -> None:
    layer = BatchwiseDropout(0.3)
    assert float(layer.p) == 0.3
    layer.setup(torch.ones(4, 2), "relu")
    assert float(layer.p) == 0.25  # three of four
    layer.p = 0.95
    assert float(layer.p) == 0.75  # at least one is kept


@pytest.mark.parametrize("runs", [None, 2])
@pytest.mark.parametrize("pieces", [1, 3])
def test_submatrices_give_what_masks_on_whole_ones_give(
    runs: int | None, pieces: int, float64: None
) -> None:
    """A hidden layer of 6 units between two places, forward and all gradients.

    The plain program masks the hidden units with the same draws and multiplies whole matrices.
    """
    before = place(runs, batch=4, units=5, outputs=6 * pieces)
    after = place(runs, batch=4, units=6, outputs=3)
    p = 0.5 if runs is None else torch.full((runs,), 0.5)
    inputs = [before.x, before.weight, before.bias, after.weight, after.bias]
    for tensor in inputs:
        tensor.requires_grad_()

    def activated(z: Tensor) -> Tensor:
        largest: Tensor = z.unflatten(-1, (-1, pieces)).amax(dim=-1)
        return largest.tanh()

    layer = BatchwiseDropout(p, noise=seeded())
    layer.setup(after.weight, "relu")
    weight, bias = layer.select_incoming(before.weight, before.bias)
    assert weight.shape[-1] == bias.shape[-1] == 3 * pieces
    z = layer.connect(activated(before.x @ weight + bias), after.weight, after.bias)

    masking = BatchwiseDropout(p, noise=seeded())
    hidden = masking(activated(before.x @ before.weight + before.bias))
    expected = hidden @ after.weight + after.bias
    torch.testing.assert_close(z, expected)
    slope = torch.randn_like(z)
    ours = torch.autograd.grad(z, inputs, slope)
    theirs = torch.autograd.grad(expected, inputs, slope)
    for gradient, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(gradient, wanted)


def test_a_choice_serves_one_step() -> None:
    """The next connect without select_incoming draws again, from all units."""
    at, noise = place(units=6), Recording()
    layer = BatchwiseDropout(0.5, noise=noise)
    layer.setup(at.weight, "relu")
    weight, bias = layer.select_incoming(at.entering.weight, torch.zeros(1, 6))
    layer.connect(torch.randn(3, 4) @ weight + bias, at.weight, at.bias)
    assert len(noise.drawn) == 1
    layer.connect(at.x, at.weight, at.bias)
    assert len(noise.drawn) == 2


def test_evaluation_needs_everything() -> None:
    at = place(units=6)
    layer = BatchwiseDropout(0.5, noise=Forbidden()).eval()
    weight, bias = layer.select_incoming(at.entering.weight, torch.zeros(1, 6))
    assert weight.shape == (4, 6)
    assert bias.shape == (1, 6)
    z = layer.connect(at.x, at.weight, at.bias)
    torch.testing.assert_close(z, at.x @ at.weight + at.bias)


def test_runs_of_one_fleet_need_one_p() -> None:
    with pytest.raises(ValueError, match="needs one p for all runs of a fleet"):
        BatchwiseDropout(torch.tensor([0.25, 0.5]))(torch.ones(2, 3, 4))
