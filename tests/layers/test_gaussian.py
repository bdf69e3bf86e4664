"""Gaussian dropout by hand, and the p it cannot have."""

import pytest
import torch

from dropout_lab.layers import GaussianDropout
from tests.recorded import Recorded


def test_by_hand() -> None:
    """P = 0.2: variance 0.25, deviation 0.5; x * (1 + 0.5 * draw)."""
    draws = torch.tensor([0.0, 2.0, -2.0, 1.0])
    y = GaussianDropout(0.2, noise=Recorded(draws))(torch.tensor([3.0, 3.0, 3.0, -6.0]))
    torch.testing.assert_close(y, torch.tensor([3.0, 6.0, 0.0, -9.0]))


def test_zero_stays_zero() -> None:
    """The noise multiplies; an added one would not leave 0 alone."""
    assert torch.equal(GaussianDropout(0.5)(torch.zeros(100)), torch.zeros(100))


def test_p_one_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match=r"infinite there\. Give a p in \[0, 1\)"):
        GaussianDropout(1.0)
