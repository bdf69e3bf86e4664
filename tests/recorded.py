"""A noise source that replays given draws, so that a layer's numbers can be known beforehand."""

from collections.abc import Sequence

import torch
from torch import Tensor

LOWEST = -(2**15)


class Recorded:
    """Replays draws, one tensor a call, in order; their shapes must be those asked for."""

    def __init__(self, *draws: Tensor) -> None:
        self.draws = list(draws)
        self.calls = 0

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        return self._next(shape, torch.int16)

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        return self._next(shape, torch.float32)

    def _next(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        draw = self.draws[self.calls]
        self.calls += 1
        assert tuple(draw.shape) == tuple(shape)
        assert draw.dtype == dtype
        return draw


class Forbidden:
    """Fails the test when anything is drawn."""

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        raise AssertionError("a draw was made where none may be")

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        raise AssertionError("a draw was made where none may be")


def lanes(*fractions: float) -> Tensor:
    """Return int16 lanes at the given fractions of their range: a draw u is dropped if u < p."""
    return torch.tensor([round(u * 2**16) + LOWEST for u in fractions], dtype=torch.int16)
