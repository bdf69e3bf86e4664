"""The draws that layers of units take: open interval, shape of the mask, type of the units."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from dropout_lab.layers import UnitDropout
from dropout_lab.layers.coins import keep_mask, keep_threshold, round_to_lanes
from tests.layers.cases import seeded


class Words:
    """Draws the same 32-bit word, as two lanes, again and again."""

    def __init__(self, low: int, high: int) -> None:
        self.word = torch.tensor([low, high], dtype=torch.int16)

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        return self.word.expand(tuple(shape))

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        raise AssertionError("no normal draws were asked for")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_uniform_draws_are_never_0_or_1(dtype: torch.dtype) -> None:
    """Neither from the lowest of all words, 2**31 below 0, nor from the highest."""
    x = torch.ones(3, 4, dtype=dtype)
    for word in ((0, -(2**15)), (-1, 2**15 - 1)):
        draws = UnitDropout(noise=Words(*word)).uniform(x)
        assert draws.dtype == dtype
        assert ((draws > 0) & (draws < 1)).all()


def test_uniform_draws_are_uniform() -> None:
    """Shares of ten equal parts of the interval: binomial, to 5 standard errors."""
    n = 100_000
    draws = UnitDropout(noise=seeded()).uniform(torch.ones(n))
    shares = torch.histc(draws, bins=10, min=0, max=1) / n
    assert ((shares - 0.1).abs() < 5 * (0.1 * 0.9 / n) ** 0.5).all()


@pytest.mark.parametrize(("mask", "shape"), [("element", (2, 5, 3)), ("batch", (2, 1, 3))])
def test_draws_have_the_shape_of_the_mask(mask: str, shape: tuple[int, ...]) -> None:
    layer = UnitDropout(mask=mask, noise=seeded())
    x = torch.ones(2, 5, 3, dtype=torch.float64)
    for draws in (layer.uniform(x), layer.normal(x)):
        assert tuple(draws.shape) == shape
        assert draws.dtype == torch.float64


def test_coins_in_floats_are_the_comparison_of_lanes() -> None:
    """Every lane there is, against the thresholds of p from end to end."""
    lanes = torch.arange(-(2**15), 2**15).to(torch.int16)
    given = np.array([0, 1e-9, 2**-16, 0.1, 0.5, 1 - 2**-16, 1.0])
    p = torch.from_numpy(round_to_lanes(given))
    threshold = keep_threshold(p).unsqueeze(-1)
    kept = keep_mask(lanes.expand(len(p), -1), threshold)
    assert kept.dtype == torch.float32
    assert torch.equal(kept, (lanes >= threshold).float())
    shares = kept.double().mean(dim=1)
    assert torch.equal(shares[:-1], 1 - p[:-1])  # at p = 1 one lane is left; the scale is 0 there
