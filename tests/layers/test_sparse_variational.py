"""Sparse variational dropout by hand, its KL against numerical integration, and its pruning."""

import math

import numpy as np
import pytest
import torch

from dropout_lab.layers import SparseVariationalDropout
from dropout_lab.layers.sparse_variational import kl_of_log_alpha
from tests.layers.test_variational import exact_kl
from tests.recorded import Recorded

WEIGHT = torch.tensor([[1.0, -2.0], [0.5, 4.0]])


def begun(p: float | torch.Tensor = 0.5, weight: torch.Tensor = WEIGHT, **rest: object):
    layer = SparseVariationalDropout(p, **rest)
    layer.setup(weight, "relu")
    return layer


def with_log_alpha(log_alpha: torch.Tensor, weight: torch.Tensor = WEIGHT, **rest: object):
    """Return a layer whose weights have these log alpha, up to the 1e-8 beside the square."""
    layer = begun(weight=weight, **rest)
    with torch.no_grad():
        layer.log_variance.copy_(log_alpha + weight.square().log())
    return layer


def test_the_kl_is_near_the_exact_one() -> None:
    """For alpha to infinity E log|e| - log(alpha) / 2 is E log|N(0, 1)|, the constant left out."""
    at_infinity = -0.5 * (np.euler_gamma + math.log(2))
    for log_alpha in np.linspace(-8, 8, 25):
        approximate = float(kl_of_log_alpha(torch.tensor(log_alpha)))
        exact = exact_kl(math.exp(log_alpha)) - at_infinity
        assert approximate == pytest.approx(exact, abs=0.01)


def test_the_kl_falls_to_0_where_noise_is_all_there_is(float64: None) -> None:
    kl = kl_of_log_alpha(torch.linspace(-8, 30, 300))
    assert (kl.diff() < 0).all()
    assert 0 <= float(kl[-1]) < 1e-12


def test_by_hand() -> None:
    """Two inputs 3 and 4, s = 2 for both: variance (9 + 16) 4, deviation 10."""
    layer = begun(noise=Recorded(torch.tensor([[0.5, -2.0]])))
    with torch.no_grad():
        layer.log_variance.fill_(math.log(4))
    z = layer.connect(torch.tensor([[3.0, 4.0]]), WEIGHT, torch.tensor([[100.0, 0.0]]))
    torch.testing.assert_close(z, torch.tensor([[3 + 2 + 100 + 5.0, -6 + 16 - 20.0]]))


def test_one_draw_of_the_weights_for_a_batch_by_hand() -> None:
    """W + s draw with s = 2: [[1 + 2, -2], [0.5, 4 - 2]]."""
    draws = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    layer = begun(mask="batch", noise=Recorded(draws * WEIGHT.sign() * torch.tensor([1.0, -1.0])))
    with torch.no_grad():
        layer.log_variance.fill_(math.log(4))
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    torch.testing.assert_close(
        layer.connect(x, WEIGHT, None), torch.tensor([[3.0, -2.0], [0.5, 2.0]])
    )


def test_the_variance_at_the_start_is_that_of_p() -> None:
    """P = 1/5: a quarter of the weights' mean square, (1 + 4 + 1/4 + 16) / 4 = 5.3125."""
    variance = begun(0.2).log_variance.detach().exp()
    torch.testing.assert_close(variance, torch.full((2, 2), 5.3125 / 4))
    each = begun(torch.tensor([0.2, 0.5]), torch.stack([WEIGHT, 2 * WEIGHT]))
    expected = torch.tensor([5.3125 / 4, 4 * 5.3125])[:, None, None].expand(2, 2, 2)
    torch.testing.assert_close(each.log_variance.detach().exp(), expected)


def test_weights_of_log_alpha_3_and_above_are_pruned_in_evaluation() -> None:
    layer = with_log_alpha(torch.tensor([[3.01, 2.99], [9.0, -9.0]])).eval()
    z = layer.connect(torch.eye(2), WEIGHT, None)
    assert z.tolist() == [[0.0, -2.0], [0.0, 4.0]]
    assert layer.sparsity(WEIGHT).tolist() == 0.5


def test_training_prunes_nothing() -> None:
    """Its noise is what drowns a weight: the mean over two opposite draws is W."""
    draws = [torch.ones(2, 2), -torch.ones(2, 2)]
    layer = with_log_alpha(torch.full((2, 2), 4.0), noise=Recorded(*draws))
    z = [layer.connect(torch.eye(2), WEIGHT, None) for _ in draws]
    torch.testing.assert_close((z[0] + z[1]) / 2, WEIGHT)
    torch.testing.assert_close((z[0] - z[1]) / 2, WEIGHT.abs() * math.exp(2))


def test_a_run_with_p_0_is_never_pruned() -> None:
    weight = torch.stack([WEIGHT, WEIGHT])
    layer = begun(torch.tensor([0.0, 0.5]), weight)
    with torch.no_grad():
        layer.log_variance.fill_(20.0)
    assert layer.sparsity(weight).tolist() == [0.0, 1.0]
    z = layer.eval().connect(torch.eye(2).expand(2, 2, 2), weight, None)
    assert torch.equal(z, torch.stack([WEIGHT, torch.zeros(2, 2)]))


def test_log_alpha_is_clipped_at_8() -> None:
    wide = with_log_alpha(torch.tensor([[20.0, -20.0], [5.0, -5.0]])).log_alpha(WEIGHT).detach()
    torch.testing.assert_close(wide, torch.tensor([[8.0, -8.0], [5.0, -5.0]]))


def test_the_penalty_by_hand() -> None:
    """Log alpha 0: 0.63576 (1 - sigmoid(1.8732)) + 0.5 log 2 = 0.0846658 + 0.3465736 a weight.

    Sigmoid(1.8732) = 1 / 1.1536313 = 0.8668281. Four weights; in the midst of the warm-up half.
    """
    layer = with_log_alpha(torch.zeros(2, 2), kl_warmup=(0.2, 0.4))
    factors = {0.2: 0.0, 0.3: 0.5, 0.4: 1.0, 1.0: 1.0}
    for progress, factor in factors.items():
        penalty = float(layer.penalty(WEIGHT, progress).detach())
        assert penalty == pytest.approx(4 * factor * 0.4312394, rel=1e-5, abs=1e-12)
    tripled = with_log_alpha(torch.zeros(2, 2), kl_weight=3.0).penalty(WEIGHT, 1.0).detach()
    assert float(tripled) == pytest.approx(12 * 0.4312394, rel=1e-5)


def test_by_default_the_kl_warms_up_as_in_the_paper() -> None:
    """Epochs 5 to 20 of 200."""
    layer = with_log_alpha(torch.zeros(2, 2))
    whole = float(layer.penalty(WEIGHT, 1.0).detach())
    for epoch, share in ((5, 0.0), (11, 0.4), (20, 1.0)):
        penalty = float(layer.penalty(WEIGHT, epoch / 200).detach())
        assert penalty == pytest.approx(share * whole, rel=1e-6, abs=1e-9)


def test_a_weight_of_exactly_0_is_harmless() -> None:
    weight = torch.zeros(2, 2, requires_grad=True)
    layer = begun(weight=WEIGHT)
    z = layer.connect(torch.ones(3, 2, requires_grad=True), weight, None)
    (z.sum() + layer.penalty(weight, 1.0)).backward()
    assert weight.grad.isfinite().all()
    assert float(layer.sparsity(weight)) == 1
