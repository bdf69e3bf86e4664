"""Compare the loss under a mask with the loss under the mirrored mask, to learn p by ARM."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from dropout_lab.layers import Dropout
from dropout_lab.model import MLP
from dropout_lab.normalization import fixed_statistics
from dropout_lab.training.replay import Recorder, Replay, noise_from


class MirroredPasses:
    """The second passes of the layers that learn p from mirrored masks.

    Args:
        model: The networks.
    """

    def __init__(self, model: MLP) -> None:
        self.model = model
        plain = Dropout.mirrored_term
        layers = [layer for layer, _, _ in model.places()]
        self.layers = [layer for layer in layers if type(layer).mirrored_term is not plain]
        self._recorders: list[Recorder] = []

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Keep the draws of the layers inside a ``with`` block."""
        self._recorders = [Recorder(layer.noise) for layer in self.layers]
        with noise_from(self.layers, self._recorders):
            yield

    def term(self, x: Tensor, labels: Tensor, logits: Tensor) -> Tensor | None:
        """Return the sum of the terms of the layers for each run; None without such layers.

        Args:
            x: ``(runs, batch, inputs)``.
            labels: ``(runs, batch)``.
            logits: The logits of the recorded pass, ``(runs, batch, classes)``.
        """
        if not self.layers:
            return None
        draws = [recorder.drawn[0] for recorder in self._recorders]
        mirrors = [  # -1 - lane for each lane
            Replay(layer.noise, ~drawn) for layer, drawn in zip(self.layers, draws, strict=True)
        ]
        with torch.no_grad(), noise_from(self.layers, mirrors), fixed_statistics(self.model):
            mirrored = self.model(x)
        difference = _losses(logits.detach(), labels) - _losses(mirrored, labels)
        terms = [
            layer.mirrored_term(drawn, difference)
            for layer, drawn in zip(self.layers, draws, strict=True)
        ]
        return torch.stack([term for term in terms if term is not None]).sum(dim=0)


def _losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of each example, ``(runs, batch)``."""
    return -log_softmax(logits, dim=-1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)
