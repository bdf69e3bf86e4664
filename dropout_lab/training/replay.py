"""Change the noise of dropout layers for a pass: record it, replay it changed, or switch it off."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from dropout_lab.layers import Dropout
from dropout_lab.model import MLP
from dropout_lab.rng import Noise


class Recorder:
    """A noise source that keeps the lanes that it draws."""

    def __init__(self, source: Noise) -> None:
        self.source = source
        self.drawn: list[Tensor] = []

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Draw lanes and keep them."""
        self.drawn.append(self.source.lanes(shape, device))
        return self.drawn[-1]

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Draw from the source."""
        return self.source.normal(shape, device)


class Replay:
    """A noise source that returns the lanes that it is given.

    Args:
        source: The source of all other draws.
        lanes: The lanes of the pass.
    """

    def __init__(self, source: Noise, lanes: Tensor) -> None:
        self.source = source
        self._lanes = lanes

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return the lanes."""
        return self._lanes

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Draw from the source."""
        return self.source.normal(shape, device)


@contextmanager
def noise_from(layers: Sequence[Dropout], sources: Sequence[Noise]) -> Iterator[None]:
    """Let each layer draw from its source inside a ``with`` block."""
    before = [layer.noise for layer in layers]
    try:
        for layer, source in zip(layers, sources, strict=True):
            layer.noise = source
        yield
    finally:
        for layer, source in zip(layers, before, strict=True):
            layer.noise = source


@contextmanager
def without_dropout(model: MLP) -> Iterator[None]:
    """Switch dropout off inside a ``with`` block, and leave normalization as it is."""
    layers: list[nn.Module] = [layer for layer in model.dropouts if layer.training]
    try:
        for layer in layers:
            layer.eval()
        yield
    finally:
        for layer in layers:
            layer.train()
