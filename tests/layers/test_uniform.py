"""Uniform noise by hand, over every value of a lane, and its distribution."""

import math

import torch
from scipy import stats

from dropout_lab.layers import UniformDropout
from tests.recorded import Recorded, lanes


def test_by_hand() -> None:
    """P = 1/4: the width is sqrt(3 * (1/4) / (3/4)) = 1, so the noise is 2u, from U(0, 2)."""
    u = torch.tensor([0.0, 0.25, 0.5, 0.75]) + 0.5 / 2**16  # the middle of a lane
    y = UniformDropout(0.25, noise=Recorded(lanes(0.0, 0.25, 0.5, 0.75)))(torch.full((4,), 3.0))
    torch.testing.assert_close(y, 6 * u)


def test_above_a_quarter_some_factors_are_negative() -> None:
    """P = 3/4: the width is sqrt(3 * 3) = 3, so the noise is between -2 and 4."""
    y = UniformDropout(0.75)(torch.ones(10_000))
    assert -2 < float(y.min()) < -1.99
    assert 3.99 < float(y.max()) < 4


def test_over_every_lane_the_mean_is_1_and_the_variance_p_over_q(float64: None) -> None:
    """Exact but for the width of a lane: n equal steps have 1 - 1/n^2 of the variance."""
    every_lane = torch.arange(-(2**15), 2**15).to(torch.int16)
    y = UniformDropout(0.4, noise=Recorded(every_lane))(torch.ones(2**16))
    assert abs(float(y.mean()) - 1) < 1e-12
    variance = 0.4 / 0.6 * (1 - 2.0**-32)
    assert math.isclose(float(y.var(correction=0)), variance, rel_tol=1e-12)


def test_the_noise_is_uniform(float64: None) -> None:
    """Kolmogorov and Smirnov's distance to U(1 - w, 1 + w), whose chance is not below 1e-4."""
    width = math.sqrt(3 * 0.4 / 0.6)
    noise = UniformDropout(0.4)(torch.ones(20_000)).numpy()
    assert stats.kstest(noise, stats.uniform(1 - width, 2 * width).cdf).pvalue > 1e-4
