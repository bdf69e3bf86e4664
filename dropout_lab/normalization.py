"""Batch and layer normalization for networks with a leading run axis."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

EPS = 1e-5  # added to each variance
MOMENTUM = 0.1  # of the newest batch in the running statistics


class Normalization(nn.Module):
    r"""Normalize the units of a hidden layer, each run on its own.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta,
        \qquad \epsilon = 10^{-5}

    * ``layer``: :math:`\mu` and :math:`\sigma^2` are those of the units of one example, in training
      and in evaluation.
    * ``batch``: :math:`\mu` and :math:`\sigma^2` are those of one unit over the batch in training.
      In evaluation they are running means. After each training batch of B examples, the running
      mean becomes 0.9 times itself plus 0.1 :math:`\mu`, and the running variance 0.9 times itself
      plus 0.1 B / (B - 1) :math:`\sigma^2`. They start at 0 and 1.

    The gain :math:`\gamma` and the shift :math:`\beta` of each unit are learned; they start at 1
    and 0. The defaults are those of ``torch.nn.BatchNorm1d`` and ``torch.nn.LayerNorm``.

    Args:
        kind: ``batch`` or ``layer``.
        runs: Number of runs.
        units: Number of units of the layer.
        device: The device of the parameters.

    Attributes:
        mean, variance: With ``batch``, the running statistics, ``(runs, 1, units)``: parameters
            without a gradient, so that checkpoints and averages include them.
        frozen: Whether training batches leave the running statistics unchanged.

    Shape:
        ``x`` and the output: ``(runs, batch, units)``.

    Raises:
        ValueError: A training batch has a single example, which has no variance.

    Papers:
        Ioffe & Szegedy (2015), Batch Normalization, ICML. Ba, Kiros, Hinton (2016), Layer
        Normalization, arXiv:1607.06450.
    """

    def __init__(self, kind: str, runs: int, units: int, device: torch.device) -> None:
        super().__init__()
        self.kind, self.frozen = kind, False
        shape = (runs, 1, units)
        self.gain = nn.Parameter(torch.ones(shape, device=device))
        self.shift = nn.Parameter(torch.zeros(shape, device=device))
        if kind == "batch":
            self.mean = nn.Parameter(torch.zeros(shape, device=device), requires_grad=False)
            self.variance = nn.Parameter(torch.ones(shape, device=device), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized values."""
        with torch.autocast(x.device.type, enabled=False):  # statistics need float32
            x = x.to(self.gain.dtype)
            if self.kind == "layer":
                return functional.layer_norm(x, x.shape[-1:], eps=EPS) * self.gain + self.shift
            return self._normalize_batch(x)

    def _normalize_batch(self, x: Tensor) -> Tensor:
        """Normalize with torch's function, for which each unit of each run is a channel."""
        runs, _, units = x.shape
        mean, variance = self.mean.data, self.variance.data
        if self.training and self.frozen:
            mean, variance = mean.clone(), variance.clone()
        y: Tensor = functional.batch_norm(
            x.transpose(0, 1).flatten(1),  # (batch, runs * units)
            mean.view(-1),
            variance.view(-1),
            self.gain.view(-1),
            self.shift.view(-1),
            self.training,
            MOMENTUM,
            EPS,
        )
        normalized: Tensor = y.unflatten(1, (runs, units)).transpose(0, 1)
        return normalized


@contextmanager
def fixed_statistics(model: nn.Module) -> Iterator[None]:
    """Leave the running statistics of a model unchanged inside a ``with`` block."""
    layers = [layer for layer in model.modules() if isinstance(layer, Normalization)]
    before = [layer.frozen for layer in layers]
    try:
        for layer in layers:
            layer.frozen = True
        yield
    finally:
        for layer, frozen in zip(layers, before, strict=True):
            layer.frozen = frozen


def use_running_statistics(model: nn.Module) -> None:
    """Let batch normalization use its running statistics, also while dropout is on."""
    for layer in model.modules():
        if isinstance(layer, Normalization):
            layer.eval()
