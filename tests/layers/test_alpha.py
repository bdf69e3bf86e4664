"""Alpha dropout by hand, against torch's, and the moments that it restores."""

import math

import pytest
import torch
from torch import nn

from dropout_lab.layers import AlphaDropout
from dropout_lab.layers.alpha import ALPHA_PRIME
from tests.recorded import Recorded, lanes


def test_by_hand() -> None:
    """P = 1/2: a = (1/2 + 1.7580993^2 / 4)^(-1/2) = 1.2727283^(-1/2) = 0.8864053.

    b = 0.8864053 * 1.7580993 / 2 = 0.7791942; what is dropped becomes -1.7580993 a + b = -b, and
    what is kept x a + b.
    """
    y = AlphaDropout(0.5, noise=Recorded(lanes(0.1, 0.9, 0.4, 0.5)))(
        torch.tensor([1.0, 1.0, -3.0, -3.0])
    )
    expected = [-0.7791942, 0.8864053 + 0.7791942, -0.7791942, -3 * 0.8864053 + 0.7791942]
    torch.testing.assert_close(y, torch.tensor(expected), rtol=1e-5, atol=1e-6)


def test_what_is_dropped_goes_to_the_lowest_value_of_selu() -> None:
    lowest = float(nn.functional.selu(torch.tensor(-1e4, dtype=torch.float64)))
    assert pytest.approx(lowest, rel=1e-14) == ALPHA_PRIME


@pytest.mark.parametrize("p", [0.0625, 0.25, 0.75])
def test_given_torchs_own_mask_it_is_torchs(p: float) -> None:
    """The draws differ, the function does not; p is a whole number of lanes."""
    x = (torch.randn(40, 30) + 3).requires_grad_()  # 3: what is dropped stands out
    theirs = nn.functional.alpha_dropout(x, p, training=True)
    (slope,) = torch.autograd.grad(theirs.sum(), x, retain_graph=True)
    draws = torch.where(slope != 0, 2**15 - 1, -(2**15)).to(torch.int16)
    ours = AlphaDropout(p, noise=Recorded(draws))(x)
    torch.testing.assert_close(ours, theirs)
    (own,) = torch.autograd.grad(ours.sum(), x)
    torch.testing.assert_close(own, slope)
    assert 0 < int((slope == 0).sum()) < 1200


@pytest.mark.parametrize("p", [0.05, 0.1, 0.5])
def test_mean_0_and_variance_1_are_kept(p: float, float64: None) -> None:
    """Through SELU's distribution-free law: any units of these moments; here uniform ones."""
    n = 200_000
    y = AlphaDropout(p)((2 * torch.rand(n) - 1) * math.sqrt(3))
    assert abs(float(y.mean())) < 5 / math.sqrt(n)
    assert abs(float((y * y).mean()) - 1) < 5 * float((y * y).std()) / math.sqrt(n)
