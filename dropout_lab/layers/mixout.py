"""Mixout: weights return to their initial values instead of 0."""

from typing import Any

import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import Mask, UnitInputs, WeightDropout
from dropout_lab.layers.coins import keep_threshold
from dropout_lab.rng import Noise

NOT_SET_UP = (
    "the initial weights are not known yet: put this layer into DropoutLinear(in, out, layer), or "
    "call layer.setup(weight, activation) with its outgoing weights, of shape (in, out)."
)


class MixoutDropout(WeightDropout):
    r"""Replace each weight by its initial value with probability ``p``, and keep the mean.

    .. math:: \tilde W_{ij} = u_{ij} + \frac{k_{ij}}{1 - p} (W_{ij} - u_{ij}), \qquad
              k_{ij} \sim \mathrm{Bernoulli}(1 - p)

    u is the initial weight. The formula equals the paper's
    ``(M u + (1 - M) W - p u) / (1 - p)`` with ``M = 1 - k``. With u = 0 it is DropConnect with one
    mask for a batch. The mean is W, so evaluation uses W. Biases have no noise. The noise is 0 as
    long as the weights have not moved.

    Args:
        p: Probability that a weight has its initial value, in [0, 1), rounded to a multiple of
            1/65,536.
        mask: Ignored; there is always one mask for a batch.
        noise: Source of the random draws; by default PyTorch's global generator.

    Shape:
        ``connect``: ``x``: ``(runs, batch, in)``, ``weight``: ``(runs, in, out)``, ``bias``:
        ``(runs, 1, out)`` or None. Output: ``(runs, batch, out)``. All may omit the run axis. The
        buffer ``initial`` has the shape of ``weight``; :meth:`setup` creates it from the weights.
        For pretrained weights, load them and call ``setup`` with them.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, or ``setup`` was not called.

    Paper:
        Lee, Cho, Kang (2020), Mixout: Effective Regularization to Finetune Large-scale Pretrained
        Language Models, ICLR. There u are pretrained weights. Here u are the random weights before
        training.
    """

    variant = CATALOGUE["mixout"]
    rounds_p = True
    initial: Tensor | None

    def __init__(
        self, p: float | Tensor = 0.5, *, mask: Mask = "batch", noise: Noise | None = None
    ) -> None:
        super().__init__(p, mask=mask, noise=noise)
        self.register_buffer("initial", None)

    def setup(self, weight: Tensor, activation: str) -> None:
        """Store the initial weights."""
        self.initial = weight.detach().clone()

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: UnitInputs | None = None
    ) -> Tensor:
        """Apply the linear map to ``x``, with some initial weights in training."""
        if not self.training:
            return affine(x, weight, bias)
        if self.initial is None:
            raise ValueError(NOT_SET_UP)
        threshold, scale, active = self.broadcast_constants(weight)
        kept = self.noise.lanes(weight.shape, weight.device) >= threshold
        initial = self.initial.to(weight.dtype)
        mixed = initial + (weight - initial) * (kept * scale)
        return affine(x, torch.where(active, mixed, weight), bias)

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return the lane threshold, the factor of a kept difference, and whether p is above 0."""
        return keep_threshold(p), 1 / (1 - p), p > 0

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, metadata: Any, strict: bool, *lists: Any
    ) -> None:
        """Load a state dict. The initial weights may be missing from it."""
        missing, unexpected, errors = lists
        found: list[str] = []
        super()._load_from_state_dict(
            state_dict, prefix, metadata, strict, found, unexpected, errors
        )
        missing += [name for name in found if name != prefix + "initial"]
